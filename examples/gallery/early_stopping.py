"""
Early stopping
==============

On few training rows the cost of the validation rows soon rises again. :class:`fastsgd.EarlyStopping` ends the training
when it has not improved for ``patience`` epochs, and restores the parameters of the best one.
:func:`fastsgd.plots.history` draws the curves and marks the best epoch.
"""
import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

import fastsgd
from fastsgd import plots

X, y = load_breast_cancer(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(scale(X), y, train_size=0.5, random_state=0)
net = fastsgd.Network([X.shape[1], 64, 2], seed=0)
stopping = fastsgd.EarlyStopping(patience=20)
history = fastsgd.train(net, X_train, y_train, optimizer=fastsgd.Adam(0.003), batch_size=20, epochs=500, seed=0,
                        validation=(X_val, y_val), callbacks=[stopping])
print(f"stopped after epoch {history.epochs}; best validation cost {stopping.best:.4f} after step {stopping.best_step}")

_, ax = plt.subplots(figsize=(8, 5.5), layout="constrained")
plots.history(history, ax)
plt.show()

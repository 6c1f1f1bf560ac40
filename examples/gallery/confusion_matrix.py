"""
Confusion matrix and misread digits
===================================

:func:`fastsgd.plots.confusion` counts which class is taken for which. Where the rows are images it shows the mistakes
that the network was surest of beside the matrix.
"""
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

import fastsgd
from fastsgd import plots

(X, y), (X_test, y_test) = fastsgd.datasets.digits()
net = fastsgd.Network([64, 64, 10], seed=0)
fastsgd.train(net, X, y, optimizer=fastsgd.SGD(0.1, momentum=0.9), epochs=20, seed=0)

plots.confusion(net, X_test, y_test)

# %%
# A fitted estimator is taken with its own class names.

iris = load_iris()
X, X_test, y, y_test = train_test_split(iris.data, iris.target_names[iris.target], train_size=0.3, random_state=0)
model = fastsgd.MLPClassifier((16,), solver="lbfgs", random_state=0).fit(X, y)

plots.confusion(model, X_test, y_test)

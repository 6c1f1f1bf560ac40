"""A Pipeline with a ColumnTransformer on a table of numbers, words and gaps."""
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastsgd import MLPClassifier

rng = np.random.default_rng(0)
rows = 4000
table = pd.DataFrame({
    "age": rng.integers(18, 90, rows).astype(float), "income": rng.lognormal(10, 0.5, rows),
    "city": rng.choice(["Bern", "Genf", "Chur", "Olten"], rows), "plan": rng.choice(["small", "large"], rows),
})
chance = 1 / (1 + np.exp(-(table.age - 50) / 8 - 3 * (table.city == "Chur") + 2 * (table.plan == "small")))
leaves = np.where(rng.random(rows) < chance, "yes", "no")
table.loc[rng.random(rows) < 0.05, "income"] = np.nan

columns = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include=float)),
    (OneHotEncoder(), make_column_selector(dtype_exclude=float)),
)
model = make_pipeline(columns, MLPClassifier((32,), early_stopping=True, class_weight="balanced", random_state=0))
train, test, y, y_test = train_test_split(table, leaves, random_state=0)
model.fit(train, y)
print(f"{model[-1].n_iter_} epochs, {model.score(test, y_test):.1%} of {len(test)} unseen rows are right")
print(pd.DataFrame(model.predict_proba(test[:3]).round(2), columns=model.classes_))

"""
Sparse text
===========

scikit-learn's ``HashingVectorizer`` makes a sparse row of each document, and :class:`~fastsgd.SGDClassifier` learns
from such rows without making them dense. The picture shows the words with the largest weights of each topic.
"""
import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from fastsgd import SGDClassifier

topics = {
    "cooking": ["oven", "taste", "salt", "recipe", "cold", "butter", "onion", "boil", "dry", "flour"],
    "travel": ["train", "ticket", "hotel", "station", "border", "taste", "luggage", "flight", "coast", "museum"],
    "weather": ["rain", "cold", "wind", "dry", "sunny", "coast", "cloud", "storm", "snow", "forecast"],
}
shared = ["the", "a", "of", "and", "in", "it", "was", "very", "good", "day", "time", "long"]
rng = np.random.default_rng(0)
labels = rng.choice(list(topics), 3000)
often = 1 / np.arange(1, 11)                   # the first words of a topic are the most frequent
documents = [" ".join([*rng.choice(topics[label], 2, p=often / often.sum()), *rng.choice(shared, 10)])
             for label in labels]

vectorizer = HashingVectorizer(n_features=2**16, alternate_sign=False)
rows = vectorizer.transform(documents)
model = SGDClassifier("log_loss", random_state=0).fit(rows[:2000], labels[:2000])
print(f"{rows.shape[1]:,} columns; accuracy on the other documents: {model.score(rows[2000:], labels[2000:]):.3f}")

# %%
# The weight of a word is the decision value of a document that has this word alone, less the intercept.

words = sorted({word for each in [*topics.values(), shared] for word in each})
weights = model.decision_function(vectorizer.transform(words)) - model.intercept_
_, axes = plt.subplots(1, len(topics), figsize=(8, 3.6), sharex=True, layout="constrained")
for ax, topic, column in zip(axes, model.classes_, weights.T, strict=True):
    best = np.argsort(column)[-8:]
    ax.barh([words[word] for word in best], column[best])
    ax.set(title=topic, xlabel="weight")
plt.show()

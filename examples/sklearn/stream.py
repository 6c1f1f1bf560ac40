"""partial_fit on a stream of documents that is never in memory as a whole."""
import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from fastsgd import SGDClassifier

TOPICS = {"sea": "wave salt tide ship harbour gull sand", "wood": "moss fern beech owl deer acorn path",
          "town": "tram bridge market bell roof square lamp"}
rng = np.random.default_rng(0)


def batches(number, rows=200):
    """Documents of twelve words, most of them of one topic, and their topics."""
    words = np.array(" ".join(TOPICS.values()).split())
    for _ in range(number):
        topics = rng.choice(list(TOPICS), rows)
        yield [" ".join(rng.choice(np.concatenate([TOPICS[topic].split() * 2, words]), 12)) for topic in topics], topics


vectorizer = HashingVectorizer(n_features=2**16)
model = SGDClassifier("log_loss", random_state=0)
for number, (texts, topics) in enumerate(batches(20), 1):
    X = vectorizer.transform(texts)                          # sparse, and stays so
    if number > 1 and number % 5 == 0:
        print(f"after {200 * (number - 1):,} documents {model.score(X, topics):.1%} of the next 200 are right")
    model.partial_fit(X, topics, classes=list(TOPICS))
chances = model.predict_proba(vectorizer.transform(["the owl sat in the beech"]))[0]
print(", ".join(f"{topic} {chance:.0%}" for topic, chance in zip(model.classes_, chances, strict=True)))

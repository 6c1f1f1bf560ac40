"""scikit-learn's own tests of its MLP estimators, from the installed package, with the import replaced."""
import pytest
from sklearn_tests import GLOBAL_RANDOM_SEED, take_over

pytest.importorskip("sklearn")
pytestmark = pytest.mark.filterwarnings("default")

# The tests that must fail, and why.
PRIVATE = {
    "test_gradient": "calls _loss_grad_lbfgs with scikit-learn's own lists of buffers",
    "test_learning_rate_warmstart": "reads _optimizer.learning_rate",
    "test_adaptive_learning_rate": "reads _optimizer.learning_rate",
}

take_over(globals(), "sklearn.neural_network", "test_mlp.py",
          {"from sklearn.neural_network import MLP": "from fastsgd import MLP"}, PRIVATE)


@pytest.fixture
def global_random_seed():
    return GLOBAL_RANDOM_SEED

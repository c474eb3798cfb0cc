"""
Passes: each rewrites the IR into IR of the same meaning.

One file per pass; `get_all_passes` is the phone book, which loads a pass when it is
called for.
"""

from collections.abc import Callable

from xdsl.passes import ModulePass


def get_all_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """Every pass of ours by name; the values import it."""

    def expand_functions() -> type[ModulePass]:
        from .expand_functions import ExpandFunctionsPass

        return ExpandFunctionsPass

    def fold_batch_norm() -> type[ModulePass]:
        from .fold_batch_norm import FoldBatchNormPass

        return FoldBatchNormPass

    def fold_constants() -> type[ModulePass]:
        from .fold_constants import FoldConstantsPass

        return FoldConstantsPass

    def remove_identities() -> type[ModulePass]:
        from .remove_identities import RemoveIdentitiesPass

        return RemoveIdentitiesPass

    def specialize_dims() -> type[ModulePass]:
        from .specialize_dims import SpecializeDimsPass

        return SpecializeDimsPass

    return {
        "expand-functions": expand_functions,
        "fold-batch-norm": fold_batch_norm,
        "fold-constants": fold_constants,
        "remove-identities": remove_identities,
        "specialize-dims": specialize_dims,
    }

"""Why a path is not served."""


class MountError(Exception):
    """A path that is not served."""


class Forbidden(MountError):
    """The path may not be seen."""


class NotMounted(MountError):
    """There is no folder for the path."""

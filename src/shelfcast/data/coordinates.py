"""Which coordinates are real: said once, for the finding that reports the others and for those who measure distances."""

import numpy as np


def real(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """bool, as the arguments broadcast: both are known, on the globe, and not the 0, 0 that stands for unknown.

    Parameters
    ----------
    latitude, longitude : float, degrees north and east; nan where not known

    Examples
    --------
    >>> real(np.array([41.6, 95.0, 0.0, np.nan]), np.array([-93.6, 10.0, 0.0, 10.0]))
    array([ True, False, False, False])
    """
    with np.errstate(invalid="ignore"):
        on_globe = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180)
        return on_globe & ~((latitude == 0) & (longitude == 0))

"""Ready-made embeddings of a list of images: `.npy` files with a row for each row of the list."""
import numpy as np

from runtime import Failure, shown


def open_rows(path, rows, listed):
    """Return the embeddings in an `.npy` file, memory-mapped.

    Parameters
    ----------
    path : str
    rows : int
        How many there have to be.
    listed : str
        The list's name, for messages.

    Returns
    -------
    array of floats, shape (rows, D)

    Raises
    ------
    Failure
        The file is missing, damaged, or has something else in it. Nothing is unpickled.
    """
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise Failure(f"{shown(path)} is missing: it should be an .npy file with an embedding for each row of "
                      f"{shown(listed)}") from None
    except Exception as error:  # NumPy raises errors of many kinds for damaged headers
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Failure(f"{shown(path)} is damaged or no .npy file of numbers: write it again with np.save") from None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f" or not found.shape[1]:
        what = f"of {found.dtype} with the shape {found.shape}" if isinstance(found, np.ndarray) else "an archive"
        raise Failure(f"{shown(path)} is {what}: it should be an .npy file of floats with the shape (images, numbers)")
    if len(found) != rows:
        raise Failure(f"{shown(path)} has {len(found)} rows and {shown(listed)} has {rows}: there has to be an "
                      "embedding for each row of the list, in its order")
    return found


def read(path, mirrored, both_halves, flip, rows, listed):
    """Return ready-made embeddings of images and of their mirror images.

    Parameters
    ----------
    path : str
    mirrored : str or None
        The file of the mirror images' embeddings.
    both_halves : bool
        Whether each row of `path` holds the image's embedding and then its mirror image's.
    flip : bool
        Whether mirror images are wanted.
    rows, listed
        As for `open_rows`.

    Returns
    -------
    plain : array, shape (rows, D)
    mirrored : array, shape (rows, D), or None

    Raises
    ------
    Failure
        As `open_rows`; or the two do not fit each other.
    """
    plain = open_rows(path, rows, listed)
    if both_halves:
        if plain.shape[1] % 2:
            raise Failure(f"{shown(path)} has {plain.shape[1]} numbers a row, which are no two halves: leave out "
                          "--both-halves")
        half = plain.shape[1] // 2
        return plain[:, :half], plain[:, half:] if flip else None
    if not (mirrored and flip):
        return plain, None
    others = open_rows(mirrored, rows, listed)
    if others.shape != plain.shape:
        raise Failure(f"{shown(mirrored)} has {others.shape[1]} numbers a row and {shown(path)} has {plain.shape[1]}: "
                      "both have to be of one network")
    return plain, others

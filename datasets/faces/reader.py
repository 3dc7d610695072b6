"""Reading the face of a picture: aligned by a detector's points, or as it is where the picture is an aligned face."""
import os

from datasets.faces.align import align, find_face
from datasets.faces.detector import mtcnn
from datasets.formats import images
from datasets.formats.image_lists import quoted


class NotAligned(images.Unusable):
    """The picture has not the size of an aligned face."""


class Reader:
    """Reads faces. The detector is made when the first picture needs it.

    Parameters
    ----------
    size : int
        Height and width of a face.
    aligned : bool
        Whether pictures are aligned faces already.
    advice : str
        What to do where they are not.
    """

    def __init__(self, size=112, aligned=False, advice="leave out --aligned"):
        self.size, self.aligned, self.advice = size, aligned, advice
        self._detect = None

    def __call__(self, path, root=None):
        """Return the face of a picture's file: RGB uint8, shape (size, size, 3).

        Raises
        ------
        Unusable
            The file cannot be read, leads out of `root`, or shows no face. The message begins with the path.
        NotAligned
            The picture was to be an aligned face and has another size.
        """
        try:
            return self.face(images.decode(images.read(path, root), images.PHOTOGRAPH))
        except images.Unusable as error:
            raise type(error)(f"{quoted(os.fspath(path))} {error}") from None

    def face(self, pixels):
        """Return the face of a decoded picture, RGB uint8 (height, width, 3); raises as a call."""
        if not self.aligned:
            self._detect = self._detect or mtcnn()
            return align(pixels, find_face(pixels, self._detect)[0].points, self.size)
        if pixels.shape[:2] != (self.size, self.size):
            raise NotAligned(f"is {pixels.shape[1]}×{pixels.shape[0]}, and an aligned face {self.size}×{self.size}: "
                             f"{self.advice}")
        return pixels

"""Whether the lines of a file ask for vectors: its first one says so, of a file that can be read
twice. Who answers is decided by it where no configuration says that.
"""

# Of a path that nobody may look at it says no, where `Path.is_file` raises OSError.
from os.path import isfile

from tollway_workers.cli.batch.file import BatchFile
from tollway_workers.cli.batch.labels import LineForm
from tollway_workers.cli.batch.line import BatchJob, read_line
from tollway_workers.cli.run.options import STANDARD_STREAM, RunOptions
from tollway_workers.errors import InputError

#: Bytes of a first line that is looked at.
_LONGEST_LINE = 16 * 1024 * 1024


def asks_for_vectors(options: RunOptions) -> bool:
    """As `--format` says, else by the first line. No, where that cannot be read: whoever reads the
    file says why.
    """
    if options.form is not None:
        return options.form is LineForm.EMBEDDINGS
    if str(options.source) == STANDARD_STREAM or not isfile(options.source):
        return False
    try:
        with BatchFile.open(options.source, longest_line=_LONGEST_LINE) as file:
            _, first = next(file.lines(), (0, None))
    except InputError:
        return False
    line = None if first is None else read_line(1, first)
    return isinstance(line, BatchJob) and line.form is LineForm.EMBEDDINGS

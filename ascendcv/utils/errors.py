"""The one exception that means: the user gave something that cannot work."""


class InputError(ValueError):
    """Bad input: a wrong path, key, file or combination of options.

    The message is one line that names the file or key, says what is wrong and what to do about it. Commands
    print it without a traceback and exit with status 2.
    """

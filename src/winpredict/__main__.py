"""``python -m winpredict``, and the file that spark-submit is given."""

from winpredict.cli import main

if __name__ == "__main__":
    main()

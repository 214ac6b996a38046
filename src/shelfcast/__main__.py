"""`python -m shelfcast` is the command line."""

from shelfcast.cli.main import run

if __name__ == "__main__":
    run()

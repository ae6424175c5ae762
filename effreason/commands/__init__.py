"""The subcommands of `effreason`, one file each. Building their parsers imports nothing heavy."""

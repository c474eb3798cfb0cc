"""What each subcommand of ``sardonyx`` does: one file per command."""

"""Passes that say with one operator what several said."""

"""Recipes that make checkpoints: data, training, export and evaluation."""

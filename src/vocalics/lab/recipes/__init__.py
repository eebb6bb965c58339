"""Recipes: one YAML file each, and the schema that refuses unknown keys."""

from vocalics.lab.recipes.schema import Recipe, list_recipes, load_recipe

__all__ = ["Recipe", "list_recipes", "load_recipe"]

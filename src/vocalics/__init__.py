"""Emotion in speech."""

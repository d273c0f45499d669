"""Molecular dynamics that makes the geometries of the shipped data sets."""

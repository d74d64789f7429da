"""Measurements: speed, quality, faults. Each module prints one table and writes bench/results/<name>.json."""

"""A load like B3's: planned, driven, sampled and checked."""

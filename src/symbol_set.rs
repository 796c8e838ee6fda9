//! A set of the symbols of one block, as a bitmap.

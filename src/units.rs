//! Quantities with their units in the type.

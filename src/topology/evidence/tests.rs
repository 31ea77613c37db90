//! The rules of the evidence, by literal traces.

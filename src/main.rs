//! tracebook
fn main() {}

//! To come.
mod results;
fn main() {}

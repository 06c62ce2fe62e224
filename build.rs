//! Has cargo build anew when a migration is added or taken away: the macro that puts them into the program notices only
//! those that it knows.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}

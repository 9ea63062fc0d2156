// Envoy itself has the functions of its ABI: they are found when it loads the module. Only
// the tests, which are no module, must be linked without them.
fn main() {
    println!("cargo:rustc-link-arg=-Wl,--unresolved-symbols=ignore-all");
    println!("cargo:rerun-if-changed=build.rs");
}

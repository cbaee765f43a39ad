//! The program `stockade`: a shell around the library.

fn main() -> std::process::ExitCode {
    stockade::cli::main()
}

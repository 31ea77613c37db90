//! Compiles `proto/` into `OUT_DIR` without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors =
        protox::compile(["tempopb/tempo.proto", "jaeger/query_service.proto", "jaeger/query_v2.proto"], ["proto"])?;
    // The server half is for the test servers that play a Tempo (they include the same file); the linker drops it elsewhere.
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}

//! Compiles the protos with protox (no system protoc) and keeps the descriptor set for reflection.
//!
//! Twice: as they are, with clients, for `tail`, `bench` and the tests; and for the server, with `Delivery.update` as
//! bytes. On the wire an embedded message is its bytes with a length, and the journal keeps every update encoded: so
//! the server sends what is stored, without decoding it.

use std::path::{Path, PathBuf};

use prost::Message;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let files = protox::compile(
        ["switchboard/v1/delivery_service.proto", "switchboard/v1/admin_service.proto"],
        ["proto"],
    )?;
    std::fs::write(out.join("switchboard.bin"), files.encode_to_vec())?;

    generate(files.clone(), &out.join("client"), |builder| builder.build_server(false))?;
    generate(with_encoded_updates(files)?, &out.join("server"), |builder| {
        builder.build_client(false).bytes(".switchboard.v1.Delivery.update")
    })?;
    Ok(())
}

fn generate(
    files: FileDescriptorSet,
    into: &Path,
    set: impl FnOnce(tonic_prost_build::Builder) -> tonic_prost_build::Builder,
) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(into)?;
    Ok(set(tonic_prost_build::configure().out_dir(into).emit_rerun_if_changed(false)).compile_fds(files)?)
}

fn with_encoded_updates(
    mut files: FileDescriptorSet,
) -> Result<FileDescriptorSet, Box<dyn std::error::Error>> {
    let field = files
        .file
        .iter_mut()
        .flat_map(|file| &mut file.message_type)
        .filter(|message| message.name() == "Delivery")
        .flat_map(|message| &mut message.field)
        .find(|field| field.name() == "update")
        .ok_or("Delivery has no field `update`")?;
    field.set_type(Type::Bytes);
    field.type_name = None;
    Ok(files)
}

//! `headwater.yaml`: where the log, the registry, the stores and the blobs are. Paths are relative to the project's folder;
//! `${NAME}` is replaced from the environment.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub log: LogConfig,
    pub registry: RegistryConfig,
    /// In declared order.
    pub stores: Vec<(String, StoreConfig)>,
    pub blobs: BlobConfig,
}

#[derive(Clone, Debug, PartialEq)]
pub enum LogConfig {
    /// A folder for SQLite files.
    Embedded(PathBuf),
}

#[derive(Clone, Debug, PartialEq)]
pub enum RegistryConfig {
    /// A folder for SQLite files.
    Embedded(PathBuf),
}

#[derive(Clone, Debug, PartialEq)]
pub enum StoreConfig {
    /// A database file.
    Sqlite(PathBuf),
}

#[derive(Clone, Debug, PartialEq)]
pub enum BlobConfig {
    Folder(PathBuf),
}

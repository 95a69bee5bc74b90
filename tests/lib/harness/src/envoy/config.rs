//! The shipped `envoy.yaml`, changed for a test. Every change names the text that it replaces, and fails if the text is
//! missing.

use std::path::Path;

use super::Ports;
use crate::{Result, repository};

/// A configuration as text.
#[derive(Clone, Debug)]
pub struct EnvoyConfig(String);

// === impl EnvoyConfig ===

impl EnvoyConfig {
    /// `envoy.yaml`, unchanged.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn shipped() -> Result<Self> {
        Ok(Self(std::fs::read_to_string(repository("envoy.yaml"))?))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// On other ports, all on loopback.
    ///
    /// # Errors
    /// If the shipped file lacks a documented port.
    pub fn on(self, ports: &Ports) -> Result<Self> {
        let ports = [
            (10000, ports.listener.number()),
            (9901, ports.admin.number()),
            (9902, ports.stats.number()),
            (8000, ports.upstream),
        ];
        let mut config = self;
        // In two steps, so that a new port is not taken for an old one.
        for (old, _) in ports {
            config = config.replace(&format!("port_value: {old}}}"), &format!("port_value: <{old}>}}"))?;
        }
        for (old, new) in ports {
            config = config.replace(&format!("<{old}>"), &new.to_string())?;
        }
        config.replace("address: 0.0.0.0", "address: 127.0.0.1")
    }

    /// With this filter.
    ///
    /// # Errors
    /// If the shipped file names no filter.
    pub fn with_wasm(self, wasm: &Path) -> Result<Self> {
        self.replace("dist/infertally.wasm", &wasm.display().to_string())
    }

    /// Replaces a text everywhere.
    ///
    /// # Errors
    /// If the text is missing.
    pub fn replace(self, old: &str, new: &str) -> Result<Self> {
        if !self.0.contains(old) {
            return Err(format!("envoy.yaml lacks {old:?}").into());
        }
        Ok(Self(self.0.replace(old, new)))
    }
}

//! The shipped `envoy.yaml`, changed for a test only where it must be: every change names the text that it replaces,
//! and fails when that is not there.

use std::path::Path;

use super::Ports;
use crate::{Result, repository};

/// A configuration as text.
#[derive(Clone, Debug)]
pub struct EnvoyConfig(String);

// === impl EnvoyConfig ===

impl EnvoyConfig {
    /// `envoy.yaml` as it is.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn shipped() -> Result<Self> {
        Ok(Self(std::fs::read_to_string(repository("envoy.yaml"))?))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// On other ports.
    ///
    /// # Errors
    /// If a port of the shipped file is not there.
    pub fn on(self, ports: Ports) -> Result<Self> {
        // Over marks that are no number, so that a new port can't be taken for an old one.
        let ports = [
            (10000, ports.listener),
            (9901, ports.admin),
            (9902, ports.stats),
            (8000, ports.upstream),
        ];
        let mut config = self;
        for (old, _) in ports {
            config = config.replace(&format!("port_value: {old}}}"), &format!("port_value: <{old}>}}"))?;
        }
        for (old, new) in ports {
            config = config.replace(&format!("<{old}>"), &new.to_string())?;
        }
        // Only this machine tests.
        config.replace("address: 0.0.0.0", "address: 127.0.0.1")
    }

    /// With this filter.
    ///
    /// # Errors
    /// If the shipped file names no filter.
    pub fn with_wasm(self, wasm: &Path) -> Result<Self> {
        self.replace("dist/infertally.wasm", &wasm.display().to_string())
    }

    /// With one text in the place of another, everywhere.
    ///
    /// # Errors
    /// If the text is not there.
    pub fn replace(self, old: &str, new: &str) -> Result<Self> {
        if !self.0.contains(old) {
            return Err(format!("envoy.yaml does not hold {old:?}").into());
        }
        Ok(Self(self.0.replace(old, new)))
    }
}

//! Owns the settings of a [`Sim`](crate::Sim).

use std::net::{Ipv4Addr, SocketAddr};

/// The settings of a [`Sim`](crate::Sim).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimConfig {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The model that serves requests without `model`.
    pub base_model: String,
    /// Adapters that are loaded from the start.
    pub adapters: Vec<String>,
    /// The limit of `max_tokens`.
    pub max_model_len: u64,
    /// How many inference requests run at once; the rest are queued. `None`: no limit.
    pub max_running: Option<usize>,
    /// The bearer token required for paths below `/v1`. `None`: no authentication.
    pub api_key: Option<String>,
    /// Whether loads honour `load_inplace`, as in vLLM 0.32; older versions ignore it.
    pub supports_load_inplace: bool,
    /// Whose requests load and unload adapters.
    pub adapter_api: AdapterApi,
}

/// Whose requests load and unload adapters, and whose list of models is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AdapterApi {
    /// vLLM's: `/v1/load_lora_adapter`, `/v1/unload_lora_adapter`
    #[default]
    Vllm,
    /// SGLang's: `/load_lora_adapter`, `/unload_lora_adapter`
    Sglang,
}

impl Default for SimConfig {
    /// A base model `tiny` without adapters on a free port of the loopback address.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            base_model: "tiny".to_owned(),
            adapters: Vec::new(),
            max_model_len: 32_768,
            max_running: None,
            api_key: None,
            supports_load_inplace: true,
            adapter_api: AdapterApi::Vllm,
        }
    }
}

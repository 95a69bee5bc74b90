//! What the role never touches.

use super::scenario::Scenario;

#[test]
fn adapters_in_both_lists_or_in_none_are_left_alone() {
    Scenario::new()
        .config("+a=/new +b=/b -a -b")
        .lists("a=/old stranger")
        .plans(&[])
        .is_ready(Ok(()))
        .has_series(
            r#"
            adapter_status{adapter_name="a"} 1
            adapter_status{adapter_name="b"} 0
            adapter_info{adapter_name="a",reason="conflict",source=""} 1
            adapter_info{adapter_name="b",reason="conflict",source=""} 1
            config_valid 1
            "#,
        );
}

#[test]
fn base_model_is_left_alone() {
    Scenario::new()
        .config("-tiny")
        .lists("")
        .plans(&[])
        .has_status("tiny", 0, "unload_failed")
        .config("+tiny=/t")
        .lists("")
        .plans(&[])
        .has_status("tiny", 0, "load_rejected");
}

#[test]
fn adapter_removed_from_the_file_loses_its_series_and_stays_loaded() {
    Scenario::new()
        .config("+a=/a +b=/b -c")
        .lists("a=/a b=/b")
        .plans(&[])
        .config("+b=/b")
        .lists("a=/a b=/b")
        .plans(&[])
        .has_series(
            r#"
            adapter_status{adapter_name="b"} 1
            adapter_desired{adapter_name="b"} 1
            adapter_info{adapter_name="b",reason="loaded",source="/b"} 1
            config_valid 1
            "#,
        );
}

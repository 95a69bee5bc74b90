// Command istio runs Istio's translation. It reads Kubernetes objects from standard input, and writes the bootstrap of the
// agent and the configuration of istiod for the pod with the given address to standard output.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"istio.io/istio/pilot/cmd/pilot-agent/config"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/bootstrap"
	"istio.io/istio/pkg/config/schema/gvr"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/kube/kclient/clienttest"
	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/test"
)

// output is printed as JSON. The lists contain Envoy's messages in their JSON form.
type output struct {
	Bootstrap  json.RawMessage   `json:"bootstrap"`
	Listeners  []json.RawMessage `json:"listeners"`
	Routes     []json.RawMessage `json:"routes"`
	Extensions []json.RawMessage `json:"extensions"`
}

// objects are the input, split as istiod's fake cluster needs it.
type objects struct {
	istio, kubernetes []string
	pod               corev1.Pod
}

func main() {
	router := flag.Bool("router", false, "the pod is a gateway")
	address := flag.String("address", "", "the pod's IP address")
	version := flag.String("istio-version", "", "the version that the proxy reports")
	flag.Parse()
	for _, scope := range log.Scopes() {
		scope.SetOutputLevel(log.NoneLevel)
	}

	// Off by default.
	features.EnableGatewayAPIInferenceExtension = true
	input, err := io.ReadAll(os.Stdin)
	exitIf(err)
	given, err := read(string(input), *address)
	exitIf(err)
	kind := model.SidecarProxy
	if *router {
		kind = model.Router
	}
	proxy := &model.Proxy{
		Type:            kind,
		ID:              given.pod.Name + "." + given.pod.Namespace,
		IPAddresses:     []string{*address},
		Labels:          given.pod.Labels,
		ConfigNamespace: given.pod.Namespace,
		Metadata: &model.NodeMetadata{
			Namespace:    given.pod.Namespace,
			Labels:       given.pod.Labels,
			IstioVersion: *version,
		},
	}

	var out output
	out.Bootstrap, err = proxyBootstrap(given.pod, proxy)
	exitIf(err)
	exitIf(test.Wrap(func(t test.Failer) {
		server := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
			ConfigString:           strings.Join(given.istio, "\n---\n"),
			KubernetesObjectString: strings.Join(given.kubernetes, "\n---\n"),
			KubeClientModifier: func(client kube.Client) {
				clienttest.MakeCRD(t, client, gvr.InferencePool)
			},
		})
		proxy = server.SetupProxy(proxy)
		listeners := server.Listeners(proxy)
		out.Listeners = messages(listeners)
		out.Routes = messages(server.RoutesFromListeners(proxy, listeners))
		out.Extensions = messages(server.ConfigGen.BuildExtensionConfiguration(proxy, server.PushContext(), discovered(listeners), nil))
	}))
	exitIf(json.NewEncoder(os.Stdout).Encode(out))
}

func read(text, address string) (objects, error) {
	var found objects
	for _, document := range strings.Split(text, "\n---\n") {
		var head struct {
			APIVersion, Kind string
		}
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			return found, err
		}
		if group, _, _ := strings.Cut(head.APIVersion, "/"); strings.HasSuffix(group, ".istio.io") {
			found.istio = append(found.istio, document)
			continue
		}
		found.kubernetes = append(found.kubernetes, document)
		var pod corev1.Pod
		if head.Kind != "Pod" {
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(document), &pod); err != nil {
			return found, err
		}
		if pod.Status.PodIP == address {
			found.pod = pod
		}
	}
	if found.pod.Name == "" {
		return found, fmt.Errorf("no pod has the address %s", address)
	}
	return found, nil
}

// proxyBootstrap renders the bootstrap. Like the agent it reads the pod's annotations from a file of the downward API, here in
// a temporary directory.
func proxyBootstrap(pod corev1.Pod, proxy *model.Proxy) (json.RawMessage, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "infertally-istio")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	if err := os.Chdir(folder); err != nil {
		return nil, err
	}
	var lines strings.Builder
	for name, value := range pod.Annotations {
		fmt.Fprintf(&lines, "%s=%q\n", name, value)
	}
	file := filepath.Join("etc", "istio", "pod", "annotations")
	err = errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(lines.String()), 0o644))
	if err != nil {
		return nil, err
	}
	settings, err := config.ConstructProxyConfig("", "istio-proxy", "", 0)
	if err != nil {
		return nil, err
	}
	node, err := bootstrap.GetNodeMetaData(bootstrap.MetadataOptions{
		ID:                  strings.Join([]string{string(proxy.Type), proxy.IPAddresses[0], proxy.ID, "default.svc.cluster.local"}, "~"),
		InstanceIPs:         proxy.IPAddresses,
		ProxyConfig:         settings,
		EnvoyStatusPort:     15021,
		EnvoyPrometheusPort: 15090,
	})
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	template := filepath.Join(filepath.Dir(program), "envoy_bootstrap.json")
	err = bootstrap.New(bootstrap.Config{Node: node}).WriteTo(template, &text)
	return text.Bytes(), err
}

// discovered returns the names of the HTTP filters that the listeners get from the extension discovery service.
func discovered(listeners []*listener.Listener) []string {
	var names []string
	for _, l := range listeners {
		for _, chain := range l.FilterChains {
			for _, filter := range chain.Filters {
				manager := &hcm.HttpConnectionManager{}
				if filter.GetTypedConfig() == nil || filter.GetTypedConfig().UnmarshalTo(manager) != nil {
					continue
				}
				for _, http := range manager.HttpFilters {
					if http.GetConfigDiscovery() != nil {
						names = append(names, http.Name)
					}
				}
			}
		}
	}
	return names
}

func messages[M proto.Message](list []M) []json.RawMessage {
	out := []json.RawMessage{}
	for _, message := range list {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
		exitIf(err)
		out = append(out, text)
	}
	return out
}

func exitIf(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

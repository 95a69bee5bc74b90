// Command envoy-gateway runs Envoy Gateway's translation. It reads Kubernetes objects from standard input and writes Envoy's
// configuration to standard output. It fetches no Wasm modules: every fetch succeeds and is recorded.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/encoding/protojson"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	egv1a1 "github.com/envoyproxy/gateway/api/v1alpha1"
	"github.com/envoyproxy/gateway/api/v1alpha1/validation"
	"github.com/envoyproxy/gateway/internal/gatewayapi"
	"github.com/envoyproxy/gateway/internal/gatewayapi/resource"
	"github.com/envoyproxy/gateway/internal/logging"
	"github.com/envoyproxy/gateway/internal/wasm"
	"github.com/envoyproxy/gateway/internal/xds/bootstrap"
	"github.com/envoyproxy/gateway/internal/xds/translator"
)

// controller is the namespace of Envoy Gateway.
const controller = "envoy-gateway-system"

// output is printed as JSON. The lists contain Envoy's messages in their JSON form.
type output struct {
	Bootstrap json.RawMessage   `json:"bootstrap"`
	Listeners []json.RawMessage `json:"listeners"`
	Routes    []json.RawMessage `json:"routes"`
	Clusters  []json.RawMessage `json:"clusters"`
	Fetched   []string          `json:"fetched"`
}

func main() {
	log := logging.DefaultLogger(io.Discard, egv1a1.LogLevelInfo)
	input, err := io.ReadAll(os.Stdin)
	exitIf(err)
	// Validates each object with the schema of its CRD.
	resources, err := resource.LoadResourcesFromYAMLBytes(input, true, nil)
	exitIf(err)
	if resources.GatewayClass == nil {
		exitIf(errors.New("no GatewayClass"))
	}

	// Envoy Gateway's installation creates it: Envoy's client certificate for the server of the modules.
	resources.Secrets = append(resources.Secrets, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: controller, Name: "envoy"},
		Data:       map[string][]byte{"tls.crt": {}, "tls.key": {}, "ca.crt": {}},
	})
	modules := &fetcher{}
	gateways := &gatewayapi.Translator{
		GatewayControllerName:   string(resources.GatewayClass.Spec.ControllerName),
		GatewayClassName:        gwapiv1.ObjectName(resources.GatewayClass.Name),
		ControllerNamespace:     controller,
		EndpointRoutingDisabled: true,
		WasmCache:               modules,
		Logger:                  log,
	}
	result, err := gateways.Translate(context.Background(), resources)
	exitIf(err)
	exitIf(rejected(result))

	var out output
	out.Bootstrap, err = proxyBootstrap(resources.EnvoyProxyForGatewayClass)
	exitIf(err)
	for _, ir := range result.XdsIR {
		proxies := &translator.Translator{Logger: log}
		if proxy := resources.EnvoyProxyForGatewayClass; proxy != nil {
			proxies.FilterOrder = proxy.Spec.FilterOrder
		}
		table, err := proxies.Translate(context.Background(), ir)
		exitIf(err)
		for kind, list := range map[string]*[]json.RawMessage{
			resourcev3.ListenerType: &out.Listeners,
			resourcev3.RouteType:    &out.Routes,
			resourcev3.ClusterType:  &out.Clusters,
		} {
			for _, message := range table.XdsResources[kind] {
				text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
				exitIf(err)
				*list = append(*list, text)
			}
		}
	}
	out.Fetched = modules.urls
	exitIf(json.NewEncoder(os.Stdout).Encode(out))
}

// proxyBootstrap renders the bootstrap, after the checks with which Envoy Gateway rejects an EnvoyProxy.
func proxyBootstrap(proxy *egv1a1.EnvoyProxy) (json.RawMessage, error) {
	text, err := bootstrap.GetRenderedBootstrapConfig(nil)
	if err != nil || proxy == nil {
		return nil, errors.Join(err, errors.New("no EnvoyProxy"))
	}
	if err := validation.ValidateEnvoyProxy(proxy); err != nil {
		return nil, err
	}
	if proxy.Spec.Bootstrap != nil {
		if err := bootstrap.Validate(proxy.Spec.Bootstrap); err != nil {
			return nil, err
		}
		if text, err = bootstrap.ApplyBootstrapConfig(proxy.Spec.Bootstrap, text); err != nil {
			return nil, err
		}
	}
	return yaml.YAMLToJSON([]byte(text))
}

// rejected returns an error for every condition that is not true in the status of the objects.
func rejected(result *gatewayapi.TranslateResult) error {
	var problems []error
	check := func(kind, name string, conditions []metav1.Condition) {
		for _, condition := range conditions {
			if condition.Status != metav1.ConditionTrue && condition.Type != "Programmed" {
				problems = append(problems, fmt.Errorf("%s %s: %s is %s: %s", kind, name, condition.Type, condition.Status, condition.Message))
			}
		}
	}
	for _, gateway := range result.Gateways {
		check("Gateway", gateway.Name, gateway.Status.Conditions)
	}
	for _, route := range result.HTTPRoutes {
		for _, parent := range route.Status.Parents {
			check("HTTPRoute", route.Name, parent.Conditions)
		}
	}
	for _, policy := range result.EnvoyExtensionPolicies {
		for _, ancestor := range policy.Status.Ancestors {
			check("EnvoyExtensionPolicy", policy.Name, ancestor.Conditions)
		}
	}
	return errors.Join(problems...)
}

// fetcher replaces Envoy Gateway's fetcher and records the URLs.
type fetcher struct{ urls []string }

func (f *fetcher) Start(context.Context) {}

func (f *fetcher) Get(url string, _ *wasm.GetOptions) (string, string, error) {
	f.urls = append(f.urls, url)
	return "https://envoy-gateway:18002/module.wasm", strings.Repeat("0", 64), nil
}

func exitIf(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

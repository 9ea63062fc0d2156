package envoy

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// envoysFetch is how long an Envoy that starts waits to be told how many Envoys there
// are. A Gatewright that does not know the cluster never says it.
const envoysFetch = 2 * time.Second

// envoysCluster is the Envoy's own kind: Gatewright serves as many endpoints as there
// are Envoys. Nothing is ever sent to them. It is in the bootstrap since Envoy looks for
// its local cluster nowhere else, and since it has such a cluster's endpoints before it
// asks for any listener: no request is counted by another share.
func envoysCluster(name string) *clusterv3.Cluster {
	eds := fromADS()
	eds.InitialFetchTimeout = durationpb.New(envoysFetch)
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: eds},
		ConnectTimeout:       durationpb.New(controlConnectTimeout),
	}
}

// countsLimits tells Gatewright, in the metadata of the node, that this Envoy has the
// cluster. Bootstraps that others have made, or that were made before limits could run
// inside Envoy, have none, and such an Envoy refuses a filter that asks for its share.
func countsLimits(cluster string) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{cluster: structpb.NewBoolValue(true)}}
}

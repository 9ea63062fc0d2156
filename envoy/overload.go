package envoy

import (
	"cmp"
	"time"

	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	downstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	fixedheapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Overload is what an Envoy bears before it turns clients away, rather than be ended
// by the system for its memory, with all of them.
type Overload struct {
	// MaxConnections bounds its clients, on all listeners together. 0 is
	// DefaultMaxConnections.
	MaxConnections int
	// MaxHeap bounds its heap, in bytes. 0 is no bound.
	MaxHeap uint64
}

// DefaultMaxConnections is how many clients an Envoy has at most. Without a bound,
// connections alone can use up its memory.
const DefaultMaxConnections = 50_000

// heapMonitor is the monitor of the heap: how much of its bound is in use, from 0 to 1.
const heapMonitor = "envoy.resource_monitors.fixed_heap"

// heapPoll is how often the heap is looked at. Envoy's own is a second, in which a
// flood takes gigabytes.
const heapPoll = 250 * time.Millisecond

// overloadManager bounds connections, and, where there is a bound of the heap, does
// one thing after the other as it is neared: what costs no client anything before
// what costs the idle ones, before what costs all.
// https://www.envoyproxy.io/docs/envoy/latest/configuration/operations/overload_manager/overload_manager
func overloadManager(o Overload) *overloadv3.OverloadManager {
	m := &overloadv3.OverloadManager{
		ResourceMonitors: []*overloadv3.ResourceMonitor{
			resourceMonitor("envoy.resource_monitors.global_downstream_max_connections", &downstreamv3.DownstreamConnectionsConfig{
				MaxActiveDownstreamConnections: int64(cmp.Or(o.MaxConnections, DefaultMaxConnections)),
			}),
		},
	}
	if o.MaxHeap == 0 {
		return m
	}
	m.RefreshInterval = durationpb.New(heapPoll)
	m.ResourceMonitors = append(m.ResourceMonitors, resourceMonitor(heapMonitor, &fixedheapv3.FixedHeapConfig{MaxHeapSizeBytes: o.MaxHeap}))
	m.Actions = []*overloadv3.OverloadAction{
		// What is free goes back to the system: Envoy keeps it otherwise, and the heap
		// would not be seen to shrink.
		whenHeap("envoy.overload_actions.shrink_heap", above(0.85)),
		shorterTimeouts(between(0.85, 0.95)),
		// Answers end their connections.
		whenHeap("envoy.overload_actions.disable_http_keepalive", above(0.92)),
		// New requests are answered with 503; those in flight go on.
		whenHeap("envoy.overload_actions.stop_accepting_requests", above(0.95)),
		// Clients wait to be accepted.
		whenHeap("envoy.overload_actions.stop_accepting_connections", above(0.98)),
	}
	return m
}

// shorterTimeouts has idle clients leave the sooner, the less there is left.
func shorterTimeouts(t *overloadv3.Trigger) *overloadv3.OverloadAction {
	type timer = overloadv3.ScaleTimersOverloadActionConfig_ScaleTimer
	least := func(of overloadv3.ScaleTimersOverloadActionConfig_TimerType, seconds int64) *timer {
		return &timer{Timer: of, OverloadAdjust: &overloadv3.ScaleTimersOverloadActionConfig_ScaleTimer_MinTimeout{MinTimeout: &durationpb.Duration{Seconds: seconds}}}
	}
	a := whenHeap("envoy.overload_actions.reduce_timeouts", t)
	a.TypedConfig = mustAny(&overloadv3.ScaleTimersOverloadActionConfig{TimerScaleFactors: []*timer{
		least(overloadv3.ScaleTimersOverloadActionConfig_HTTP_DOWNSTREAM_CONNECTION_IDLE, 5),
		{
			// A stream that is idle may be a healthy one: it keeps a fifth of its time.
			Timer:          overloadv3.ScaleTimersOverloadActionConfig_HTTP_DOWNSTREAM_STREAM_IDLE,
			OverloadAdjust: &overloadv3.ScaleTimersOverloadActionConfig_ScaleTimer_MinScale{MinScale: &typev3.Percent{Value: 20}},
		},
	}})
	return a
}

func resourceMonitor(name string, config proto.Message) *overloadv3.ResourceMonitor {
	return &overloadv3.ResourceMonitor{
		Name:       name,
		ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: mustAny(config)},
	}
}

// whenHeap is an action that the heap triggers.
func whenHeap(action string, t *overloadv3.Trigger) *overloadv3.OverloadAction {
	t.Name = heapMonitor
	return &overloadv3.OverloadAction{Name: action, Triggers: []*overloadv3.Trigger{t}}
}

// above triggers all of an action, and between more of it from one share to another.
func above(share float64) *overloadv3.Trigger {
	return &overloadv3.Trigger{TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: share}}}
}

func between(from, to float64) *overloadv3.Trigger {
	return &overloadv3.Trigger{TriggerOneof: &overloadv3.Trigger_Scaled{Scaled: &overloadv3.ScaledTrigger{ScalingThreshold: from, SaturationThreshold: to}}}
}

// Package store keeps a gateway's config, and the history of its versions: in a
// file, in etcd, or in Consul.
//
// Each store promises the same, and one suite of tests holds all three to it:
//
//   - Of two writers that start from the same revision one succeeds, the other
//     gets ErrConflict. Neither content is lost: what succeeded is in the history.
//   - A content and its entry in the history (who, when, why) are written
//     together or not at all.
//   - What was put there by other hands (an editor, etcdctl put, consul kv put)
//     is read and watched like any content. Such a Snapshot has no Version, and
//     the content enters the history before Apply replaces it.
//   - The numbers of versions go up by one, and are not used again. The newest
//     keep (100) of them are kept.
//   - Watch delivers every state that stands for long enough to be read. It
//     skips states that were replaced meanwhile, and never delivers an older
//     state after a newer one, but where the store itself went back: a restored
//     backup is a state like any other.
//   - When the store cannot be reached, or the config is gone or empty, the last
//     content stands: Watch reports that once and goes on trying.
//
// What they do not promise: that entries of the history cannot be changed by
// somebody who may write to the store, and that contents that were replaced by
// other hands, with no Apply between, are in the history.
//
// The layers, from the inside out:
//
//	encode.go    how a content is kept in etcd and Consul: gzip, when it is large
//	record.go    the entries of the history
//	ledger.go    Read, Apply, History and Content, the same for all stores
//	file.go      a file, with its history in the state directory
//	etcd.go      etcd
//	consul.go    Consul's key/value store, through its HTTP API
//	follower.go  what all watches share: what is news, what is an outage
package store

#!/bin/sh
set -eu

# Deploys a folder.
deploy() {
  kubectl apply -f "$1"
}

deploy "$@"

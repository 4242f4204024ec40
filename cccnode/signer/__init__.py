"""The remote signer: a validator's consensus key on a machine of its own."""

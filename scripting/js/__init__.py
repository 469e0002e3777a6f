"""JavaScript, through QuickJS in WebAssembly (extra `[js]`)."""

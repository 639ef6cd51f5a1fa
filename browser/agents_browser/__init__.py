"""The browser's half: the WebSocket transport, the tab's node, and the bridge to the page."""

/// files in the sandbox
// sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", false]
Artifact.store("", "log", "n", "c")
return [
  attempt(Artifact.storeFile, "", it.secret), attempt(Artifact.saveToFile, "", "n", it.dir + "/x"),
  attempt(Session.export, it.mine, it.dir + "/x"), attempt(Session.import, it.bundle),
  Tool.invoke("file_operations", { operation: "read", path: it.secret }).success,
]

/// spellings of a path out of the directory
// profile: files
// sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied"]
return ["/../outside/secret.txt", "/./.././outside/secret.txt", "/link", "/folder/secret.txt", "/hard"].map((path) =>
  attempt(Artifact.storeFile, "", it.dir + path))

/// a path that is another one each time it is asked
// profile: files
// sees: [true, "own"]
let n = 0
const path = { toString() { return n++ ? it.secret : it.dir + "/own.txt" }, toJSON() { return n++ ? it.secret : it.dir + "/own.txt" } }
const code = attempt(Artifact.storeFile, "", path)
Artifact.storeFile("", it.dir + "/own.txt")
return [code === "ValidationError" || code === "done", Artifact.getContent("", "own.txt")]

/// a FIFO, a directory, a socket and a device
// profile: files
// sees: ["StorageError", "StorageError", "StorageError", "AccessDenied"]
return ["/pipe", "", "/socket"].map((path) => attempt(Artifact.storeFile, "", it.dir + path)).concat(attempt(Artifact.storeFile, "", "/dev/zero"))

/// a NUL in a path, and a path that is no text
// profile: files
// sees: ["ValidationError", "ValidationError", "ValidationError"]
return [it.dir + "/own.txt\0.js", new Uint8Array(4), 1].map((path) => attempt(Artifact.storeFile, "", path))

/// files of the process
// profile: files
// sees: ["AccessDenied", "AccessDenied", "AccessDenied"]
return ["/proc/self/environ", "/proc/self/mem", it.dir + "/proc/environ"].map((path) => attempt(Artifact.storeFile, "", path))

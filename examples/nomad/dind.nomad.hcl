# A Nomad job with a dockerd of its own. The client allows privileged containers: in its
# configuration, plugin "docker" { config { allow_privileged = true } }.
job "dind" {
  group "dind" {
    task "docker" {
      driver       = "docker"
      kill_timeout = "60s"

      config {
        image      = "registry.example/cgshim-dind"
        args       = ["dockerd", "--host=unix:///run/docker.sock"]
        privileged = true
        # No `init = true`: cgshim is the init.
      }

      env {
        CGSHIM_CGROUP       = "require-v2"
        CGSHIM_STOP_TIMEOUT = "50s"
      }

      resources {
        cpu    = 2000
        memory = 4096
      }
    }
  }
}

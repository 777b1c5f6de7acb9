# A Nomad job with a dockerd of its own. The client's configuration needs
#
#   plugin "docker" { config { allow_privileged = true } }
#
# The client caps kill_timeout at its max_kill_timeout, which is 30 s by default. For more time set
# `client { max_kill_timeout = "120s" }` first.
job "dind" {
  group "dind" {
    task "docker" {
      driver       = "docker"
      kill_timeout = "30s"

      config {
        image      = "registry.example/cgshim-dind"
        args       = ["dockerd", "--host=unix:///run/docker.sock"]
        privileged = true
        # No `init = true`: cgshim is the init.
      }

      env {
        CGSHIM_CGROUP       = "require-v2"
        CGSHIM_STOP_TIMEOUT = "25s" # less than kill_timeout
      }

      resources {
        cpu    = 2000
        memory = 4096
      }
    }
  }
}

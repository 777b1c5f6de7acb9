// Command images pushes the images of a release. The image cgshim is the binary alone,
// and the image dind is docker:dind with the binary.
//
// images copies the files of dist/ into the images. So the binary in an image is the
// binary that has a checksum and a signature, and images emulates no platform. The
// Dockerfile makes the same images from a clone.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// platforms has the platform of each binary of a release.
var platforms = map[string]v1.Platform{
	"amd64":   {OS: "linux", Architecture: "amd64"},
	"arm64":   {OS: "linux", Architecture: "arm64"},
	"armv7":   {OS: "linux", Architecture: "arm", Variant: "v7"},
	"386":     {OS: "linux", Architecture: "386"},
	"ppc64le": {OS: "linux", Architecture: "ppc64le"},
	"s390x":   {OS: "linux", Architecture: "s390x"},
	"riscv64": {OS: "linux", Architecture: "riscv64"},
	"loong64": {OS: "linux", Architecture: "loong64"},
}

// scriptNote takes the place of the script dind. It is not executable, for the reason
// that the Dockerfile has.
const scriptNote = "# cgshim does what this script did (docker-init).\n"

func main() {
	r := &release{}
	flag.StringVar(&r.dist, "dist", "../dist", "the `directory` with the binaries")
	flag.StringVar(&r.version, "version", "", "the `version`, which is the images' tag")
	flag.StringVar(&r.registry, "registry", "", "where to push, a `host/path`")
	flag.StringVar(&r.source, "source", os.Getenv("SOURCE"), "the `address` of the sources, for a label; default $SOURCE")
	flag.StringVar(&r.licenses, "licenses", "..", "the `directory` with LICENSE and NOTICE")
	flag.StringVar(&r.base, "base", "docker:dind", "the `image` that dind begins with")
	flag.BoolVar(&r.latest, "latest", false, "push the tag latest too")
	flag.Parse()
	if err := r.push(); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

type release struct {
	dist, version, registry, base string
	source, licenses              string
	latest                        bool
}

func (r *release) push() error {
	if r.version == "" || r.registry == "" {
		return errors.New("-version and -registry are needed")
	}
	names := make([]string, 0, len(platforms))
	for arch := range platforms {
		names = append(names, arch)
	}
	slices.Sort(names)
	binaries := map[string][]byte{}
	for _, arch := range names {
		program, err := os.ReadFile(filepath.Join(r.dist, "cgshim-linux-"+arch))
		if errors.Is(err, os.ErrNotExist) {
			continue // dist has some of the ports only
		}
		if err != nil {
			return err
		}
		binaries[arch] = program
	}
	if len(binaries) == 0 {
		return fmt.Errorf("%s has no binary: run make release", r.dist)
	}
	base, err := r.bases()
	if err != nil {
		return err
	}
	alone, dind := index(), index()
	for _, arch := range names {
		program, ok := binaries[arch]
		if !ok {
			continue
		}
		image, err := r.alone(program, platforms[arch])
		if err != nil {
			return err
		}
		alone = add(alone, image, platforms[arch])
		for _, on := range base {
			if !serves(on.platform, platforms[arch]) {
				continue
			}
			image, err := r.dind(on.image, program)
			if err != nil {
				return err
			}
			dind = add(dind, image, on.platform)
		}
	}
	return errors.Join(r.publish("cgshim", alone), r.publish("dind", dind))
}

// serves reports whether the platform of a base image runs our binary for ours.
// docker:dind names the variant v8 of arm64, and arm64 has no other variant.
func serves(base, ours v1.Platform) bool {
	variant := base.Variant
	if base.Architecture == "arm64" {
		variant = ""
	}
	return base.OS == ours.OS && base.Architecture == ours.Architecture && variant == ours.Variant
}

type platformImage struct {
	platform v1.Platform
	image    v1.Image
}

// bases returns the images of the base, one for each platform.
func (r *release) bases() (all []platformImage, err error) {
	ref, err := name.ParseReference(r.base)
	if err != nil {
		return nil, err
	}
	found, err := remote.Get(ref, remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", r.base, err)
	}
	if !found.MediaType.IsIndex() {
		image, err := found.Image()
		if err != nil {
			return nil, err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return nil, err
		}
		return []platformImage{{*config.Platform(), image}}, nil
	}
	list, err := found.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := list.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, entry := range manifest.Manifests {
		if !entry.MediaType.IsImage() || entry.Platform == nil || entry.Platform.OS != "linux" {
			continue // an attestation has the platform unknown/unknown
		}
		image, err := list.Image(entry.Digest)
		if err != nil {
			return nil, err
		}
		all = append(all, platformImage{*entry.Platform, image})
	}
	return all, nil
}

// alone makes the image of the Dockerfile's target binary.
func (r *release) alone(program []byte, platform v1.Platform) (v1.Image, error) {
	texts, err := r.texts()
	if err != nil {
		return nil, err
	}
	layer, err := layerOf(append(texts, file("cgshim", program, 0o755))...)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Config.Entrypoint = []string{"/cgshim"}
	r.label(config)
	return mutate.ConfigFile(image, config)
}

// dind makes the image of the Dockerfile's target dind.
func (r *release) dind(base v1.Image, program []byte) (v1.Image, error) {
	texts, err := r.texts()
	if err != nil {
		return nil, err
	}
	layer, err := layerOf(append(texts,
		file("cgshim", program, 0o755),
		entry{header: tar.Header{Name: "usr/local/bin/docker-init", Typeflag: tar.TypeSymlink, Linkname: "/cgshim", Mode: 0o777}},
		file("usr/local/bin/dind", []byte(scriptNote), 0o644),
	)...)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Config.Env = append(config.Config.Env, "CGSHIM_CGROUP=auto", "CGSHIM_DIND=1")
	r.label(config)
	return mutate.ConfigFile(image, config)
}

// texts returns the licences of the binary, in the place that the Dockerfile gives them.
func (r *release) texts() (all []entry, err error) {
	for _, name := range []string{"LICENSE", "NOTICE"} {
		text, err := os.ReadFile(filepath.Join(r.licenses, name))
		if err != nil {
			return nil, err
		}
		all = append(all, file("usr/share/licenses/cgshim/"+name, text, 0o644))
	}
	return all, nil
}

// label sets the labels that registries show (OCI image specification, annotations).
func (r *release) label(config *v1.ConfigFile) {
	if config.Config.Labels == nil {
		config.Config.Labels = map[string]string{}
	}
	if r.source != "" {
		config.Config.Labels["org.opencontainers.image.source"] = r.source
	}
	config.Config.Labels["org.opencontainers.image.licenses"] = "MIT AND BSD-3-Clause AND MPL-2.0"
	config.Config.Labels["org.opencontainers.image.version"] = r.version
}

type entry struct {
	header tar.Header
	data   []byte
}

func file(path string, data []byte, mode int64) entry {
	return entry{tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(data))}, data}
}

// layerOf makes a layer without time stamps, so that the same files are the same layer.
func layerOf(entries ...entry) (v1.Layer, error) {
	var stream bytes.Buffer
	w := tar.NewWriter(&stream)
	for _, e := range entries {
		if err := w.WriteHeader(&e.header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(stream.Bytes())), nil })
}

func index() v1.ImageIndex { return mutate.IndexMediaType(empty.Index, types.OCIImageIndex) }

func add(list v1.ImageIndex, image v1.Image, platform v1.Platform) v1.ImageIndex {
	return mutate.AppendManifests(list, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
}

// publish pushes an index and prints its digest, which is then signed.
func (r *release) publish(repository string, list v1.ImageIndex) error {
	manifest, err := list.IndexManifest()
	if err != nil {
		return err
	}
	if len(manifest.Manifests) == 0 {
		return fmt.Errorf("%s: no platform of %s has a binary", repository, r.base)
	}
	tags := []string{r.version}
	if r.latest {
		tags = append(tags, "latest")
	}
	digest, err := list.Digest()
	if err != nil {
		return err
	}
	for _, tag := range tags {
		ref, err := name.NewTag(strings.TrimSuffix(r.registry, "/") + "/" + repository + ":" + tag)
		if err != nil {
			return err
		}
		if err := remote.WriteIndex(ref, list, remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return fmt.Errorf("push %s: %w", ref, err)
		}
	}
	fmt.Printf("%s/%s@%s\n", strings.TrimSuffix(r.registry, "/"), repository, digest)
	return nil
}

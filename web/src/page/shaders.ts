//! The programs of the GPU: flat points, spheres that are cast ray by ray, discs that look like them, arrows, and lines.

/** Which attribute stands where. */
export const PLACES = { x: 0, y: 1, z: 2, value: 3, shown: 4, radius: 5, marked: 6, vx: 7, vy: 8, vz: 9, opacity: 10 } as const;

/** The value's colour (`plain`, where its alpha is not 0; where it is 2, values count for who is shown), and whether the point is shown; all programs of points have it. `mode`: 0 linear, 1 logarithmic, 2 kinds. `haze`: its colour, and one over the camera's distance; 0: none. */
const COMMON = `#version 300 es
precision highp float;
layout(location=0) in float x; layout(location=1) in float y; layout(location=2) in float z; layout(location=3) in float value; layout(location=4) in float shown; layout(location=5) in float radius; layout(location=6) in float marked; layout(location=10) in float opacity;
uniform vec2 range; uniform vec4 plain; uniform vec4 haze; uniform sampler2D map; uniform int mode; uniform int outside;
const vec4 GREY = vec4(0.5, 0.5, 0.5, 1.0);
bool isShown() {
  if (marked == 0.0 || shown == 0.0 || !(shown == shown) || opacity <= 0.0) return false;
  if (plain.a == 1.0 || outside != 2 || mode == 2) return true;
  float t = ((mode == 1 ? log(value) : value) - range.x) * range.y;
  return t >= -1e-5 && t <= 1.00001;
}
vec4 hue() {
  if (plain.a > 0.0) return vec4(plain.rgb, 1.0);
  if (!(value == value) || mode == 1 && value <= 0.0) return GREY;
  if (mode == 2) return texelFetch(map, ivec2(int(mod(floor(value), 8.0)), 0), 0);
  float t = ((mode == 1 ? log(value) : value) - range.x) * range.y;
  if (outside == 1 && (t < -1e-5 || t > 1.00001)) return GREY;
  return texelFetch(map, ivec2(int(clamp(t, 0.0, 1.0) * 255.0 + 0.5), 0), 0);
}
vec4 paint() { return vec4(hue().rgb, opacity == opacity ? min(opacity, 1.0) : 1.0); }
vec3 hazed(vec3 colour, float away) { return haze.a > 0.0 ? mix(colour, haze.rgb, 0.75 * clamp(away * haze.a - 0.5, 0.0, 1.0)) : colour; }`;

/** Who is it: a number between 0 and 1 that neighbours do not share. */
const SEED = `flat out float seed;
float seedOf(int who) { return fract(float(who) * 0.618034); }`;

/** How much of a pixel is covered by what is so opaque: where it is stippled, all of it or nothing. */
const VEIL = `flat in float seed; uniform bool stipple;
float veiled(float opacity) {
  if (!stipple || opacity >= 1.0) return opacity;
  if (fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715)) + seed)) >= opacity) discard;
  return 1.0;
}`;

export const POINT_VERTEX = `${COMMON}
uniform mat4 matrix; uniform float size; uniform float reach;
out vec4 colour;
${SEED}
void main() {
  seed = seedOf(gl_VertexID);
  gl_Position = isShown() ? matrix * vec4(x, y, z, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = reach > 0.0 ? clamp(size * reach / gl_Position.w, 1.0, 40.0) : size;
  colour = paint();
  colour.rgb = hazed(colour.rgb, gl_Position.w);
}`;

export const POINT_FRAGMENT = `#version 300 es
precision highp float;
in vec4 colour; uniform float round; uniform float alpha; out vec4 pixel;
${VEIL}
void main() {
  float cover = alpha * veiled(colour.a);
  if (round > 0.0) { float r = length(gl_PointCoord - 0.5) * 2.0; cover *= clamp((1.0 - r) * round * 0.5 + 0.5, 0.0, 1.0); if (cover <= 0.01) discard; }
  pixel = vec4(colour.rgb * cover, cover);
}`;

/** How a sphere's colour looks where it has this normal. */
const LIGHT = `const vec3 LIGHT = vec3(0.36, 0.62, 0.70);
vec4 lit(vec3 normal) {
  float light = 0.38 + 0.62 * max(dot(normal, LIGHT), 0.0), shine = 0.18 * pow(max(dot(normal, normalize(LIGHT + vec3(0.0, 0.0, 1.0))), 0.0), 30.0);
  return vec4(colour.rgb * light + shine, 1.0);
}`;

/**
 * Four corners around each sphere, facing the eye and just as large as its outline. `pixel`: half a pixel's width, flat in
 * values and in orbit per unit of distance: nothing is smaller than that.
 */
export const SPHERE_VERTEX = `${COMMON}
uniform mat4 view; uniform mat4 projection; uniform bool flatly; uniform float pixel;
out vec4 colour; out vec3 place; flat out vec3 centre; flat out float r; out vec2 corner;
${SEED}
void main() {
  seed = seedOf(gl_InstanceID);
  corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0;
  colour = paint();
  centre = (view * vec4(x, y, z, 1.0)).xyz;
  float away = length(centre);
  r = max(radius, pixel * (flatly ? 1.0 : away));
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  place = centre;
  if (!isShown() || !(r == r)) return;
  if (flatly) {
    place = centre + vec3(corner * r, 0.0);
  } else {
    r = min(r, away * 0.98);
    vec3 back = -centre / away, side = normalize(cross(abs(back.y) < 0.99 ? vec3(0.0, 1.0, 0.0) : vec3(1.0, 0.0, 0.0), back)), up = cross(back, side);
    place = centre + (side * corner.x + up * corner.y) * (r * away / sqrt(away * away - r * r));
  }
  colour.rgb = hazed(colour.rgb, length(centre));
  gl_Position = projection * vec4(place, 1.0);
}`;

export const SPHERE_FRAGMENT = `#version 300 es
precision highp float;
in vec4 colour; in vec3 place; flat in vec3 centre; flat in float r; in vec2 corner;
uniform mat4 projection; uniform bool flatly; out vec4 pixel;
${LIGHT}
${VEIL}
void main() {
  vec3 normal;
  gl_FragDepth = gl_FragCoord.z;
  if (flatly) {
    float l = dot(corner, corner);
    if (l > 1.0) discard;
    normal = vec3(corner, sqrt(1.0 - l));
  } else {
    // from the ray's foot beside the centre: squares of distances would lose a far sphere's digits
    vec3 ray = normalize(place);
    float along = dot(ray, centre);
    vec3 beside = ray * along - centre;
    float half2 = r * r - dot(beside, beside);
    if (half2 < 0.0) discard;
    vec3 hit = ray * (along - sqrt(half2));
    normal = (hit - centre) / r;
    gl_FragDepth = clamp((projection[2][2] * hit.z + projection[3][2]) / -hit.z * 0.5 + 0.5, 0.0, 1.0);
  }
  pixel = lit(normal) * veiled(colour.a);
}`;

/** Of very many spheres: a square that faces the eye each, as large as the outline. `unit`: pixels of one value, flat, and in orbit at the distance 1. */
export const BALL_VERTEX = `${COMMON}
uniform mat4 matrix; uniform float unit; uniform bool flatly;
out vec4 colour;
${SEED}
void main() {
  seed = seedOf(gl_VertexID);
  colour = paint();
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = 1.0;
  if (!isShown() || !(radius == radius)) return;
  gl_Position = matrix * vec4(x, y, z, 1.0);
  float away = gl_Position.w, r = min(radius, away * 0.98);
  colour.rgb = hazed(colour.rgb, away);
  gl_PointSize = clamp(2.0 * unit * (flatly ? radius : r / sqrt(away * away - r * r)), 1.4, 2048.0);
}`;

export const BALL_FRAGMENT = `#version 300 es
precision highp float;
in vec4 colour; out vec4 pixel;
${LIGHT}
${VEIL}
void main() {
  vec2 corner = vec2(gl_PointCoord.x, 1.0 - gl_PointCoord.y) * 2.0 - 1.0;
  float l = dot(corner, corner);
  if (l > 1.0) discard;
  pixel = lit(vec3(corner, sqrt(1.0 - l))) * veiled(colour.a);
}`;

/** Nine corners for each vector: two triangles of the shaft, one of the head. Lengths of heads and widths are in pixels. */
export const ARROW_VERTEX = `${COMMON}
layout(location=7) in float vx; layout(location=8) in float vy; layout(location=9) in float vz;
uniform mat4 matrix; uniform vec2 half_size; uniform float unit; uniform float ratio;
out vec4 colour;
void main() {
  colour = paint();
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  vec4 tail = matrix * vec4(x, y, z, 1.0), tip = matrix * vec4(x + vx * unit, y + vy * unit, z + vz * unit, 1.0);
  if (!isShown() || tail.w <= 0.0 || tip.w <= 0.0) return;
  colour.rgb = hazed(colour.rgb, tail.w);
  vec2 way = (tip.xy / tip.w - tail.xy / tail.w) * half_size;
  float size = length(way);
  if (!(size > 0.5)) return;
  vec2 along = way / size, side = vec2(-along.y, along.x);
  float head = min(7.0 * ratio, size * 0.5), width = min(0.7 * ratio, size * 0.12), s = 1.0 - head / size;
  // on the line between both in space, where the head begins on the screen
  vec4 neck = mix(tail, tip, s * tail.w / mix(tip.w, tail.w, s));
  int k = gl_VertexID;
  vec4 at = k == 6 ? tip : k == 0 || k == 1 || k == 5 ? tail : neck;
  float by = k == 6 ? 0.0 : k == 7 ? head * 0.42 : k == 8 ? -head * 0.42 : k == 0 || k == 2 || k == 3 ? width : -width;
  gl_Position = vec4(at.xy + side * by / half_size * at.w, at.z, at.w);
}`;

export const ARROW_FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour; out vec4 pixel;
void main() { pixel = colour; }`;

export const LINK_VERTEX = `#version 300 es
precision highp float;
layout(location=0) in float x; layout(location=1) in float y; layout(location=2) in float z;
uniform mat4 matrix;
void main() { gl_Position = matrix * vec4(x, y, z, 1.0); }`;

export const LINK_FRAGMENT = `#version 300 es
precision mediump float;
uniform vec4 plain; out vec4 pixel;
void main() { pixel = vec4(plain.rgb * plain.a, plain.a); }`;

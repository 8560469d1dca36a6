var I=Math.PI/4,Pe={front:[0,0],side:[Math.PI/2,0],top:[0,1.55],corner:[.6,.42]},$=class{orbit=!1;target=[0,0,0];scale=1;distance=1;yaw=.6;pitch=.42;changes=0;width=1;height=1;resize(e,t){e===this.width&&t===this.height||(this.width=Math.max(e,1),this.height=Math.max(t,1),this.changes++)}fit([e,t,r,o,l,a]){this.target[0]=(e+o)/2,this.target[1]=(t+l)/2,this.target[2]=(r+a)/2;let s=Math.max(o-e,1e-9),c=Math.max(l-t,1e-9);this.scale=Math.max(s/Math.max(this.width-90,40),c/Math.max(this.height-70,40));let d=Math.hypot(s,c,a-r)/2;this.distance=d/Math.sin(I/2)/Math.min(1,this.width/this.height)*.92,this.changes++}pan(e,t){if(!this.orbit)this.target[0]-=e*this.scale,this.target[1]+=t*this.scale;else{let r=2*this.distance*Math.tan(I/2)/this.height,[o,l]=this.axes();for(let a=0;a<3;a++)this.target[a]=(this.target[a]??0)-(o[a]??0)*e*r+(l[a]??0)*t*r}this.changes++}turn(e,t){this.yaw-=e*.006,this.pitch=Math.max(-1.55,Math.min(1.55,this.pitch+t*.006)),this.changes++}zoom(e,t=this.width/2,r=this.height/2){if(this.orbit)this.distance=Math.min(Math.max(this.distance*e,1e-9),1e15);else{let o=Math.max(1e-12,Math.max(Math.abs(this.target[0]),Math.abs(this.target[1]))*1e-14),l=Math.min(Math.max(this.scale*e,Math.min(o,this.scale)),1e15),a=this.scale-l;this.target[0]+=(t-this.width/2)*a,this.target[1]-=(r-this.height/2)*a,this.scale=l}this.changes++}axes(){let{yaw:e,pitch:t}=this,r=[Math.sin(e)*Math.cos(t),Math.sin(t),Math.cos(e)*Math.cos(t)],o=[Math.cos(e),0,-Math.sin(e)],l=[-Math.sin(e)*Math.sin(t),Math.cos(t),-Math.cos(e)*Math.sin(t)];return[o,l,r]}pixels(){return this.orbit?this.height/(2*this.distance*Math.tan(I/2)):1/this.scale}matrix(e=new Float32Array(16)){let[t,r,o]=this.target;if(e.fill(0),!this.orbit){let f=2/(this.width*this.scale),p=2/(this.height*this.scale);return e[0]=f,e[5]=p,e[12]=-t*f,e[13]=-r*p,e[15]=1,e}let[l,a,s]=this.axes(),c=1/Math.tan(I/2),d=this.width/this.height,u=this.distance*.01,i=this.distance*20,h=f=>(f[0]??0)*t+(f[1]??0)*r+(f[2]??0)*o;for(let f=0;f<3;f++){let p=s[f]??0;e[f*4]=(l[f]??0)*c/d,e[f*4+1]=(a[f]??0)*c,e[f*4+2]=p*(i+u)/(u-i),e[f*4+3]=-p}let m=h(s)+this.distance;return e[12]=-h(l)*c/d,e[13]=-h(a)*c,e[14]=-m*(i+u)/(u-i)+2*i*u/(u-i),e[15]=m,e}parts(){let e=new Float32Array(16),t=new Float32Array(16),[r,o,l]=this.target;if(e[0]=e[5]=e[10]=e[15]=1,!this.orbit)return e[12]=-r,e[13]=-o,t[0]=2/(this.width*this.scale),t[5]=2/(this.height*this.scale),t[15]=1,{view:e,projection:t};let a=this.axes(),s=1/Math.tan(I/2),c=this.distance*.01,d=this.distance*20;return a.forEach((u,i)=>{for(let h=0;h<3;h++)e[h*4+i]=u[h]??0;e[12+i]=-((u[0]??0)*r+(u[1]??0)*o+(u[2]??0)*l)-(i===2?this.distance:0)}),t[0]=s/(this.width/this.height),t[5]=s,t[10]=(d+c)/(c-d),t[11]=-1,t[14]=2*d*c/(c-d),{view:e,projection:t}}preset(e){[this.yaw,this.pitch]=Pe[e],this.changes++}move(e,t,r){this.target[0]+=e,this.target[1]+=t,this.target[2]+=r,this.changes++}away([e,t,r]){let{target:o,distance:l}=this,[,,a]=this.axes();return Math.max(1e-12,l-((e-o[0])*a[0]+(t-o[1])*a[1]+(r-o[2])*a[2]))}project(e,t,r,o=this.matrix()){let l=(o[3]??0)*e+(o[7]??0)*t+(o[11]??0)*r+(o[15]??0);if(l<=0)return;let a=((o[0]??0)*e+(o[4]??0)*t+(o[8]??0)*r+(o[12]??0))/l,s=((o[1]??0)*e+(o[5]??0)*t+(o[9]??0)*r+(o[13]??0))/l;return[(a+1)/2*this.width,(1-s)/2*this.height]}};var $e={viridis:[[.2777273272,.0054073445,.3340998053],[.1050930431,1.4046135299,1.3845901626],[-.3308618287,.2148475595,.095095163],[-4.634230499,-5.7991009734,-19.3324409563],[6.2282699363,14.1799333668,56.6905526007],[4.7763849977,-13.7451453777,-65.3530326334],[-5.4354558559,4.6458526122,26.3124352496]],inferno:[[.0002189404,.001651005,-.0194808984],[.1065134195,.5639564368,3.9327123889],[11.6024930825,-3.9728539657,-15.9423941063],[-41.7039961314,17.4363988821,44.3541451987],[77.1629356994,-33.4023589421,-81.8073092574],[-71.319428245,32.626064264,73.209519858],[25.1311262248,-12.2426689524,-23.0703250029]],plasma:[[.0587323451,.0233336711,.5433401826],[2.1765146341,.2383834171,.7539604599],[-2.6894604765,-7.4558511358,3.1107999398],[6.1303483459,42.3461881477,-28.5188546533],[-11.1074361906,-82.6663110943,60.1398476742],[10.0230655749,71.413617701,-54.0721865556],[-3.6587138428,-22.9315346546,18.1919077865]]},G=["viridis","inferno","plasma","balance"],J=["#56b4e9","#e69f00","#009e73","#cc79a7","#d55e00","#0072b2","#f0e442","#999999"];function Ne(n){return Math.max(0,Math.min(255,Math.round(n*255)))}function ee(n,e){let t=new Uint8Array(1024);for(let r=0;r<256;r++){let o=e?.16+.84*r/255:.9*r/255;for(let l=0;l<3;l++)t[r*4+l]=Ne(n==="balance"?Fe(r/255,l,e):Ce($e[n],o,l));t[r*4+3]=255}return t}function Ce(n,e,t){let r=0;for(let o=n.length-1;o>=0;o--)r=r*e+(n[o]?.[t]??0);return r}function Fe(n,e,t){let r=[.24,.56,.96][e]??0,o=[.96,.42,.26][e]??0,l=t?.3:.82,a=Math.abs(2*n-1);return l+((n<.5?r:o)-l)*(1-(1-a)**1.6)}function R(n){let e=parseInt(n.slice(1),16);return[(e>>16&255)/255,(e>>8&255)/255,(e&255)/255]}function L(n){let e=Math.abs(n);return Number.isFinite(n)?n===0?"0":e<.001||e>=1e6?n.toExponential(1):e>=100?n.toFixed(0):e>=10?n.toFixed(1):e>=1?n.toFixed(2):n.toPrecision(2):"–"}function V(n,e,t){let r=(e-n)/Math.max(t,1),o=10**Math.floor(Math.log10(r));if(!(r>0)||!Number.isFinite(o)||o===0)return[];let l=[1,2,5,10].map(s=>s*o).find(s=>s>=r)??10*o,a=[];for(let s=Math.ceil(n/l-1e-9);s*l<=e+l*1e-9&&a.length<100;s++){let c=Math.abs(s*l)<l*1e-9?0:s*l;if(a.length>0&&c<=a.at(-1))return[];a.push(c)}return a}var te=9;function W(n){let[e,t]=n;if(e===void 0)return{offset:"",labels:[]};let r=t===void 0?Math.abs(e)||1:t-e,o=Math.max(...n.map(Math.abs)),l=Math.max(0,-Math.floor(Math.log10(r)+1e-9)),a=n.map(h=>h.toFixed(Math.min(l,100)));if(o<1e5&&l<=4&&a.every(h=>h.length<=te))return{offset:"",labels:a};let s=Math.max(0,Math.floor(Math.log10(o)+1e-9)-Math.floor(Math.log10(r)+1e-9)+(t===void 0?6:0)),c=n.map(h=>h===0?"0":h.toExponential(Math.min(s,100)));if(t===void 0||c.every(h=>h.length<=te))return{offset:"",labels:c};let d=10**Math.floor(Math.log10(r)+1e-9),u=Math.floor(e/(d*1e3))*d*1e3,i=n.map(h=>{let m=Math.round((h-u)/d);return m===0?"+0":`+${m}e${Math.round(Math.log10(d))}`});return{offset:u.toPrecision(Math.min(Math.max(s-1,1),17)).replace(/(\.\d*?)0+(e|$)/,"$1$2").replace(/\.(e|$)/,"$1"),labels:i}}function ne(n,e,t){let r=new Map,o=0,l=0,a=e(),s,c=u=>{let i=n.getBoundingClientRect();return{x:u.clientX-i.left,y:u.clientY-i.top}};n.addEventListener("pointerdown",u=>{let i=c(u),{box:h}=t;r.size===0&&(a=e(i)),r.set(u.pointerId,i),n.setPointerCapture(u.pointerId),s&&h?.draw(s,i,void 0),s=h&&r.size===1&&u.button===0&&(u.ctrlKey||u.metaKey||u.altKey||h.wanted())?i:void 0,o=l=0}),n.addEventListener("pointermove",u=>{let i=c(u),h=r.get(u.pointerId),{camera:m}=a;if(!h)return t.hover(i.x,i.y);let f=i.x-h.x,p=i.y-h.y;if(r.set(u.pointerId,i),o+=Math.abs(f)+Math.abs(p),!(o<4)){if(n.classList.add("dragging"),s)return t.box.draw(s,i,"drawing");if(r.size===1)m.orbit&&!u.shiftKey&&!(u.buttons&6)?m.turn(f,p):m.pan(f,p);else{let[b,x]=[...r.values()],A=Math.hypot(b.x-x.x,b.y-x.y);l>0&&A>0&&m.zoom(l/A,(b.x+x.x)/2-a.left,(b.y+x.y)/2-a.top),l=A,m.pan(f/2,p/2)}t.changed()}});let d=u=>{let i=c(u),h=r.delete(u.pointerId),m=u.type==="pointerup";h&&s&&t.box.draw(s,i,m&&o>=4?{add:u.shiftKey}:void 0),s=void 0,h&&o<4&&m&&t.click(i.x,i.y),l=0,r.size===0&&n.classList.remove("dragging")};n.addEventListener("pointerup",d),n.addEventListener("pointercancel",d),n.addEventListener("pointerleave",()=>t.leave()),n.addEventListener("contextmenu",u=>u.preventDefault()),n.addEventListener("wheel",u=>{u.preventDefault();let i=c(u),h=u.deltaMode===1?16:1,{camera:m,left:f,top:p}=e(i);m.zoom(Math.exp(Math.max(-300,Math.min(300,u.deltaY*h))/480),i.x-f,i.y-p),t.changed()},{passive:!1}),n.addEventListener("keydown",u=>{if(u.ctrlKey||u.metaKey||u.altKey)return;let i=u.shiftKey?160:40,{camera:h}=e(),m=(b,x)=>{h.orbit&&!u.shiftKey?h.turn(-b,-x):h.pan(b,x)},p={ArrowLeft:()=>m(i,0),ArrowRight:()=>m(-i,0),ArrowUp:()=>m(0,i),ArrowDown:()=>m(0,-i),"+":()=>h.zoom(.8),"=":()=>h.zoom(.8),"-":()=>h.zoom(1.25),_:()=>h.zoom(1.25)}[u.key];if(p)p(),t.changed();else if(!t.key(u.key.toLowerCase()))return;u.preventDefault()})}var re='11px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif';function oe(n,e={width:n.clientWidth,height:n.clientHeight}){let t=devicePixelRatio||1,{width:r,height:o}=e,l=Math.round(r*t),a=Math.round(o*t);(n.width!==l||n.height!==a)&&(n.width=l,n.height=a);let s=n.getContext("2d");return s.setTransform(t,0,0,t,0,0),s.clearRect(0,0,r,o),{g:s,width:r,height:o}}var ie={f16:Ue,bf16:n=>ze(n<<16),unorm8:n=>Math.fround(n/255),unorm16:n=>Math.fround(n/65535),snorm8:n=>Math.max(Math.fround(n/127),-1),snorm16:n=>Math.max(Math.fround(n/32767),-1)},ae=new Int32Array(1),Oe=new Float32Array(ae.buffer);function ze(n){return ae[0]=n,Oe[0]}function Ue(n){let e=n&32768?-1:1,t=n>>10&31,r=n&1023;return t===31?r?NaN:e*(1/0):e*(t===0?r*2**-24:(1024+r)*2**(t-25))}function se(n){return Object.hasOwn(ie,n)?ie[n]:void 0}var B=1024;var De=255;var N=class{constructor(e,t){this.canvas=e;let r=e.getContext("webgl2",{antialias:!1,depth:!0,alpha:!0,premultipliedAlpha:!0,powerPreference:"high-performance"});if(!r)throw new Error("this browser has no WebGL 2");this.gl=r,t(this),e.addEventListener("webglcontextlost",o=>o.preventDefault()),e.addEventListener("webglcontextrestored",()=>{this.#e.clear(),t(this)})}canvas;gl;#e=new Map;#t=new Set;uploaded=0;calls=0;begin(){let{gl:e,canvas:t}=this;return this.uploaded=this.calls=0,e.isContextLost()?!1:(this.#t=new Set,e.disable(e.SCISSOR_TEST),e.viewport(0,0,t.width,t.height),e.clearColor(0,0,0,0),e.clear(e.COLOR_BUFFER_BIT|e.DEPTH_BUFFER_BIT),!0)}end(){for(let[e,{buffer:t}]of this.#e)this.#t.has(e)||(this.gl.deleteBuffer(t),this.#e.delete(e))}program(e,t){let{gl:r}=this,o=r.createProgram();for(let[a,s]of[[r.VERTEX_SHADER,e],[r.FRAGMENT_SHADER,t]]){let c=r.createShader(a);if(!c)return;if(r.shaderSource(c,s),r.compileShader(c),!r.getShaderParameter(c,r.COMPILE_STATUS)&&!r.isContextLost())throw new Error(`shaders: ${r.getShaderInfoLog(c)}`);r.attachShader(o,c)}if(r.linkProgram(o),!r.getProgramParameter(o,r.LINK_STATUS)&&!r.isContextLost())throw new Error(`shaders: ${r.getProgramInfoLog(o)}`);let l=new Map;return{program:o,place:a=>{let s=l.get(a);return s===void 0&&l.set(a,s=r.getUniformLocation(o,a)),s}}}attribute(e,t,r,o,l=1){let{gl:a}=this;if(t.kind==="constant"){a.disableVertexAttribArray(e),a.vertexAttrib1f(e,t.value);return}if(a.enableVertexAttribArray(e),t.kind==="floats"){let{data:s,lanes:c,lane:d}=t,u=s,i=r*c,h=this.#n(u,s.length*4);h.version!==t.version&&(this.#r(h,0,s instanceof Float32Array?s.subarray(0,i):le(h,s,0,i)),h.version=t.version),a.vertexAttribPointer(e,1,a.FLOAT,!1,c*4*l,d*4)}else if(t.kind==="computed"){let{data:s,stamps:c}=t.computed,d=this.#n(t.computed,s.length*4);this.#o(c,d.version,r,(u,i)=>this.#r(d,u*4,s.subarray(u,i))),d.version=o,a.vertexAttribPointer(e,1,a.FLOAT,!1,4*l,0)}else if(t.kind==="bits"){let{bits:s}=t,c=this.#n(s,s.words.length*32);this.#o(s.stamps,c.version,r,(d,u)=>{c.staging=c.staging instanceof Uint8Array&&c.staging.length>=u?c.staging:new Uint8Array(s.words.length*32);for(let i=d;i<u;i++)c.staging[i]=s.has(i)?1:0;this.#r(c,d,c.staging.subarray(d,u))}),c.version=o,a.vertexAttribPointer(e,1,a.UNSIGNED_BYTE,!1,l,0)}else{let{column:s,lane:c}=t,{lanes:d,data:u}=s,i=ue(a,s.type),h=i.bytes*d,m=this.#n(s,s.bytes.length/s.itemBytes*h);this.#o(s.stamps,m.version,r,(f,p)=>{this.#r(m,f*h,i.asIs?u.subarray(f*d,p*d):le(m,u,f*d,p*d,s.type))}),m.version=o,a.vertexAttribPointer(e,1,i.type,!1,h*l,c*i.bytes)}}#n(e,t){let{gl:r}=this;this.#t.add(e);let o=this.#e.get(e);return o||(o={buffer:r.createBuffer(),bytes:-1,version:-1,staging:void 0},this.#e.set(e,o)),r.bindBuffer(r.ARRAY_BUFFER,o.buffer),o.bytes!==t&&(r.bufferData(r.ARRAY_BUFFER,Math.max(t,4),r.DYNAMIC_DRAW),o.bytes=t,o.version=-1),o}#o(e,t,r,o){let l=Math.ceil(r/B);for(let a=0;a<l;a++){if(t>=0&&e[a]<=t)continue;let s=a;for(;a+1<l&&(t<0||e[a+1]>t);)a++;o(s*B,Math.min((a+1)*B,r))}}#r(e,t,r){this.gl.bufferSubData(this.gl.ARRAY_BUFFER,t,r),this.uploaded+=r.byteLength}stepOf(e,t){return Math.max(1,t.reduce((r,o)=>Math.min(r,Math.floor(De/Math.max(Ge(this.gl,o),1))),e))}};function ue(n,e){switch(e){case"f32":return{type:n.FLOAT,bytes:4,asIs:!0};case"i8":return{type:n.BYTE,bytes:1,asIs:!0};case"u8":case"bool":return{type:n.UNSIGNED_BYTE,bytes:1,asIs:!0};case"i16":return{type:n.SHORT,bytes:2,asIs:!0};case"u16":return{type:n.UNSIGNED_SHORT,bytes:2,asIs:!0};case"i32":return{type:n.INT,bytes:4,asIs:!0};case"u32":return{type:n.UNSIGNED_INT,bytes:4,asIs:!0};default:return{type:n.FLOAT,bytes:4,asIs:!1}}}function le(n,e,t,r,o=""){(!(n.staging instanceof Float32Array)||n.staging.length<e.length)&&(n.staging=new Float32Array(e.length));let l=n.staging,a=se(o);if(a){let s=e;for(let c=t;c<r;c++)l[c]=a(s[c])}else if(e instanceof Float64Array)for(let s=t;s<r;s++)l[s]=e[s];else{let s=new Uint32Array(e.buffer,e.byteOffset,e.length*2),c=e instanceof BigInt64Array?new Int32Array(e.buffer,e.byteOffset,e.length*2):s;for(let d=t;d<r;d++)l[d]=c[d*2+1]*4294967296+s[d*2]}return l.subarray(t,r)}function Ge(n,e){switch(e.kind){case"constant":return 0;case"bits":return 1;case"floats":return e.lanes*4;case"computed":return 4;case"column":return ue(n,e.column.type).bytes*e.column.lanes}}var y={x:0,y:1,z:2,value:3,shown:4,radius:5,marked:6,vx:7,vy:8,vz:9,opacity:10},C=`#version 300 es
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
vec3 hazed(vec3 colour, float away) { return haze.a > 0.0 ? mix(colour, haze.rgb, 0.75 * clamp(away * haze.a - 0.5, 0.0, 1.0)) : colour; }`,H=`flat out float seed;
float seedOf(int who) { return fract(float(who) * 0.618034); }`,j=`flat in float seed; uniform bool stipple;
float veiled(float opacity) {
  if (!stipple || opacity >= 1.0) return opacity;
  if (fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715)) + seed)) >= opacity) discard;
  return 1.0;
}`,ce=`${C}
uniform mat4 matrix; uniform float size; uniform float reach;
out vec4 colour;
${H}
void main() {
  seed = seedOf(gl_VertexID);
  gl_Position = isShown() ? matrix * vec4(x, y, z, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = reach > 0.0 ? clamp(size * reach / gl_Position.w, 1.0, 40.0) : size;
  colour = paint();
  colour.rgb = hazed(colour.rgb, gl_Position.w);
}`,he=`#version 300 es
precision highp float;
in vec4 colour; uniform float round; uniform float alpha; out vec4 pixel;
${j}
void main() {
  float cover = alpha * veiled(colour.a);
  if (round > 0.0) { float r = length(gl_PointCoord - 0.5) * 2.0; cover *= clamp((1.0 - r) * round * 0.5 + 0.5, 0.0, 1.0); if (cover <= 0.01) discard; }
  pixel = vec4(colour.rgb * cover, cover);
}`,de=`const vec3 LIGHT = vec3(0.36, 0.62, 0.70);
vec4 lit(vec3 normal) {
  float light = 0.38 + 0.62 * max(dot(normal, LIGHT), 0.0), shine = 0.18 * pow(max(dot(normal, normalize(LIGHT + vec3(0.0, 0.0, 1.0))), 0.0), 30.0);
  return vec4(colour.rgb * light + shine, 1.0);
}`,fe=`${C}
uniform mat4 view; uniform mat4 projection; uniform bool flatly; uniform float pixel;
out vec4 colour; out vec3 place; flat out vec3 centre; flat out float r; out vec2 corner;
${H}
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
}`,me=`#version 300 es
precision highp float;
in vec4 colour; in vec3 place; flat in vec3 centre; flat in float r; in vec2 corner;
uniform mat4 projection; uniform bool flatly; out vec4 pixel;
${de}
${j}
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
}`,ye=`${C}
uniform mat4 matrix; uniform float unit; uniform bool flatly;
out vec4 colour;
${H}
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
}`,pe=`#version 300 es
precision highp float;
in vec4 colour; out vec4 pixel;
${de}
${j}
void main() {
  vec2 corner = vec2(gl_PointCoord.x, 1.0 - gl_PointCoord.y) * 2.0 - 1.0;
  float l = dot(corner, corner);
  if (l > 1.0) discard;
  pixel = lit(vec3(corner, sqrt(1.0 - l))) * veiled(colour.a);
}`,be=`${C}
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
}`,ge=`#version 300 es
precision mediump float;
in vec4 colour; out vec4 pixel;
void main() { pixel = colour; }`,xe=`#version 300 es
precision highp float;
layout(location=0) in float x; layout(location=1) in float y; layout(location=2) in float z;
uniform mat4 matrix;
void main() { gl_Position = matrix * vec4(x, y, z, 1.0); }`,we=`#version 300 es
precision mediump float;
uniform vec4 plain; out vec4 pixel;
void main() { pixel = vec4(plain.rgb * plain.a, plain.a); }`;var Ve=4e4;function We(n){return Math.ceil(n.reduce((e,{arrow:t,table:r})=>e+(t?r.rows:0),0)/Ve)||1}function ve(n,e,{length:t},r,o,l){let{gl:a}=n,s=We(r);a.uniformMatrix4fv(e("matrix"),!1,o),a.uniform2f(e("half_size"),l.width/2,l.height/2),a.uniform1f(e("unit"),t),a.uniform1f(e("ratio"),l.ratio);for(let c of Object.values(y))a.vertexAttribDivisor(c,1);for(let c of r){let{rows:d}=c.table,{arrow:u}=c;if(d===0||!u)continue;let i=[[y.x,c.x],[y.y,c.y],[y.z,c.z],[y.shown,c.shown],[y.vx,u[0]],[y.vy,u[1]],[y.vz,u[2]]],h=c.plain===void 0?[...i,[y.value,c.colour]]:i,m=n.stepOf(s,h.map(([,f])=>f));for(let[f,p]of h)n.attribute(f,p,d,l.version,m);c.plain===void 0?a.uniform4f(e("plain"),0,0,0,0):(a.uniform4f(e("plain"),...R(c.plain),1),a.disableVertexAttribArray(y.value));for(let f of[y.radius,y.marked,y.opacity])a.disableVertexAttribArray(f);for(let f of[y.marked,y.opacity])a.vertexAttrib1f(f,1);a.drawArraysInstanced(a.TRIANGLES,0,9,Math.ceil(d/m)),n.calls++}for(let c of[y.vx,y.vy,y.vz])a.disableVertexAttribArray(c)}function Me(n,{program:e,place:t},{ends:r,count:o,version:l,colour:a,order:s},c){let{gl:d}=n,u=o*2;if(u!==0){d.useProgram(e),d.uniformMatrix4fv(t("matrix"),!1,c),d.uniform4f(t("plain"),...R(a),.6);for(let i of Object.values(y))d.vertexAttribDivisor(i,0),i>y.z&&d.disableVertexAttribArray(i);[y.x,y.y,y.z].forEach((i,h)=>n.attribute(i,{kind:"floats",data:r,lanes:3,lane:s[h],version:l},u,l)),d.drawArrays(d.LINES,0,u),n.calls++}}var F=class{constructor(e){this.canvas=e;this.gpu=new N(e,t=>this.#u(t))}canvas;spheresMax=1e5;gpu;#e;#t=new Float32Array(16);#n=new Uint8Array(1024);palette(e){this.#n=e,this.#e&&this.#i(this.gpu.gl,this.#e.map)}begin(){return this.gpu.begin()&&this.#e!==void 0}end(){this.gpu.end()}draw(e,t,r,o={},{left:l,top:a,width:s,height:c}={left:0,top:0,width:t.width,height:t.height}){let{gl:d}=this.gpu,u=this.#e,i=this.canvas.width/Math.max(this.canvas.clientWidth,1);if(!u)return;let h=[Math.round(l*i),Math.round(this.canvas.height-(a+c)*i),Math.round(s*i),Math.round(c*i)];d.viewport(...h),d.scissor(...h),d.enable(d.SCISSOR_TEST),t.orbit?d.enable(d.DEPTH_TEST):d.disable(d.DEPTH_TEST);let m=t.matrix(this.#t);if(o.links&&Me(this.gpu,u.links,o.links,m),this.#o(e,t,r,void 0),o.arrows){let{program:f,place:p}=u.arrows;d.useProgram(f),this.#r(p,r,t),ve(this.gpu,p,o.arrows,e,m,{width:h[2],height:h[3],ratio:i,version:r.version})}o.chosen&&this.#o(e,t,{...r,size:r.size+2*i},o.chosen)}#o(e,t,r,o){let{gl:l}=this.gpu,a=r.shape==="spheres",s=a&&e.reduce((i,{table:h})=>i+h.rows,0)<=this.spheresMax,c=this.#e,{program:d,place:u}=s?c.spheres:a?c.balls:c.flat;l.useProgram(d),s?this.#s(t,u):a?this.#l(t,u):this.#a(t,r,u),this.#r(u,r,t),l.uniform1i(u("stipple"),t.orbit?1:0);for(let i of Object.values(y))l.vertexAttribDivisor(i,s?1:0);for(let i of e){let{rows:h}=i.table,m=o?.of(i.table);if(h===0||o&&!m)continue;let f=(b,x)=>this.gpu.attribute(b,x,h,r.version);f(y.x,i.x),f(y.y,i.y),f(y.z,i.z),f(y.shown,i.shown),f(y.marked,m??{kind:"constant",value:1}),f(y.opacity,o?{kind:"constant",value:1}:i.opacity),a?f(y.radius,i.radius):l.disableVertexAttribArray(y.radius);let p=o?o.colour:i.plain;p===void 0?(l.uniform4f(u("plain"),0,0,0,0),f(y.value,i.colour)):(l.uniform4f(u("plain"),...R(p),i.plain===void 0?2:1),i.plain===void 0?f(y.value,i.colour):l.disableVertexAttribArray(y.value)),s?l.drawArraysInstanced(l.TRIANGLE_STRIP,0,4,h):l.drawArrays(l.POINTS,0,h),this.gpu.calls++}}#r(e,t,r){let{gl:o}=this.gpu,{low:l,high:a,haze:s}=t;o.uniform4f(e("haze"),...R(s??"#000000"),s!==void 0&&r.orbit?1/r.distance:0),o.uniform2f(e("range"),l,a>l?1/(a-l):0),o.uniform1i(e("mode"),t.mode==="log"?1:t.mode==="kinds"?2:0),o.uniform1i(e("outside"),t.outside==="hide"?2:t.outside==="grey"?1:0),o.uniform1i(e("map"),0)}#a(e,{size:t,alpha:r,perspective:o},l){let{gl:a}=this.gpu;a.uniformMatrix4fv(l("matrix"),!1,this.#t),a.uniform1f(l("size"),t),a.uniform1f(l("reach"),e.orbit&&o?e.distance:0),a.uniform1f(l("round"),t>=3?t:0),a.uniform1f(l("alpha"),r)}#s(e,t){let{gl:r}=this.gpu,{view:o,projection:l}=e.parts();r.uniformMatrix4fv(t("view"),!1,o),r.uniformMatrix4fv(t("projection"),!1,l),r.uniform1i(t("flatly"),e.orbit?0:1),r.uniform1f(t("pixel"),.7/(e.pixels()*(e.orbit?e.distance:1)))}#l(e,t){let{gl:r}=this.gpu,o=this.canvas.width/Math.max(this.canvas.clientWidth,1);r.uniformMatrix4fv(t("matrix"),!1,this.#t),r.uniform1i(t("flatly"),e.orbit?0:1),r.uniform1f(t("unit"),o*e.pixels()*(e.orbit?e.distance:1))}#u(e){let{gl:t}=e,r=e.program(ye,pe),o=e.program(ce,he),l=e.program(fe,me),a=e.program(be,ge),s=e.program(xe,we);if(!o||!l||!r||!a||!s)return;let c=t.createTexture();t.bindTexture(t.TEXTURE_2D,c),t.texParameteri(t.TEXTURE_2D,t.TEXTURE_MIN_FILTER,t.NEAREST),t.texParameteri(t.TEXTURE_2D,t.TEXTURE_MAG_FILTER,t.NEAREST),this.#e={flat:o,spheres:l,balls:r,arrows:a,links:s,map:c},this.#i(t,c),t.enable(t.BLEND),t.blendFunc(t.ONE,t.ONE_MINUS_SRC_ALPHA),t.depthFunc(t.LEQUAL)}#i(e,t){e.bindTexture(e.TEXTURE_2D,t),e.texImage2D(e.TEXTURE_2D,0,e.RGBA,256,1,0,e.RGBA,e.UNSIGNED_BYTE,this.#n)}};var O=40;function Ae(n,e,t){return e>t?(e+t)/2:Math.min(Math.max(n,e),t)}function ke(n,e,t,r,o,l=0){let{width:a,height:s}=e;if(n.font=re,e.orbit){o&&He(n,e,t,r,o,{width:a,height:s}),je(n,e,t,r,s);return}let[c,d]=e.target,{scale:u}=e,i=c-a/2*u,h=c+a/2*u,m=d-s/2*u,f=d+s/2*u,p=(g,k,v)=>{n.fillStyle=t.colour(v?"soft":"line"),n.globalAlpha=v?.45:.55,k?n.fillRect(Math.round(g),0,1,s):n.fillRect(0,Math.round(g),a,1),n.globalAlpha=1},b=V(i,h,a/110),x=V(m,f,s/70);for(let g of b)p((g-i)/u,!0,g===0);for(let g of x)p((f-g)/u,!1,g===0);n.fillStyle=t.colour("soft"),n.textBaseline="bottom",n.textAlign="left";let A=W(b),_=W(x);b.forEach((g,k)=>{let v=(g-i)/u;v>46&&v<a-(a>900?480:40)&&n.fillText(A.labels[k],v+4,s-5)}),x.forEach((g,k)=>{let v=(f-g)/u;v>37+l&&v<s-24&&n.fillText(_.labels[k],6,v-2)}),n.fillStyle=t.colour("ink"),n.textBaseline="top";let P=g=>g===""?"":` from ${g}`;n.fillText(`↑ ${r[1]}${P(_.offset)}   → ${r[0]}${P(A.offset)}`,8,10+l)}function He(n,e,t,r,o,l){let a=e.matrix(),s=c=>e.project(o[c&1?3:0],o[c&2?4:1],o[c&4?5:2],a);n.strokeStyle=t.colour("soft");for(let c=0;c<8;c++)for(let d of[1,2,4]){if(c&d)continue;let u=s(c),i=s(c|d);!u||!i||(n.globalAlpha=c===0?.9:.28,n.beginPath(),n.moveTo(...u),n.lineTo(...i),n.stroke())}n.globalAlpha=1,n.fillStyle=t.colour("ink"),n.textAlign="center",n.textBaseline="middle",[1,2,4].forEach((c,d)=>{let u=s(0),i=s(c);if(!u||!i)return;let h=Math.hypot(i[0]-u[0],i[1]-u[1])||1;if(i[0]<-O||i[0]>l.width+O||i[1]<-O||i[1]>l.height+O)return;let m=L(o[d+3]),f=Math.max(n.measureText(r[d]).width,n.measureText(m).width)/2+4,p=Ae(i[0]+(i[0]-u[0])/h*18,f,l.width-f),b=Ae(i[1]+(i[1]-u[1])/h*14,10,l.height-23);n.fillStyle=t.colour("ink"),n.fillText(r[d],p,b),n.fillStyle=t.colour("soft"),n.fillText(m,p,b+13)})}function je(n,e,t,r,o){let[l,a,s]=e.axes(),c=46,d=o-46,u=30;n.textAlign="center",n.textBaseline="middle",n.lineWidth=2;for(let i of[0,1,2].sort((h,m)=>s[h]-s[m])){let h=l[i]*u,m=-a[i]*u;n.globalAlpha=s[i]<-.05?.5:1,n.strokeStyle=n.fillStyle=t.colour(["dead","good","accent"][i]),n.beginPath(),n.moveTo(c,d),n.lineTo(c+h,d+m),n.stroke(),n.fillText(/[.[](\w)\]?$/.exec(r[i])?.[1]??"xyz"[i],c+h*1.35,d+m*1.35)}n.lineWidth=1,n.globalAlpha=1}var Ee=`.hypostyle-points { position: relative; width: 100%; overflow: hidden; }
.hypostyle-points canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.hypostyle-view { touch-action: none; cursor: grab; }
.hypostyle-view:focus-visible { outline: 2px solid #1f6fb2; outline-offset: -2px; }
.hypostyle-scale { pointer-events: none; }
.hypostyle-title { position: absolute; top: 4px; right: 10px; font: 12px system-ui, sans-serif; pointer-events: none; }
.hypostyle-legend { position: absolute; bottom: 6px; right: 10px; width: 180px; font: 11px system-ui, sans-serif; pointer-events: none; }
.hypostyle-bar { height: 8px; border-radius: 2px; }
.hypostyle-ends { white-space: pre; text-align: center; }
`;var Se={ink:["#1b2430","#e6ebf2"],soft:["#5d6b7c","#93a1b3"],line:["#d5dce5","#2b3542"],dead:["#c0392b","#ff7b6b"],good:["#1e8449","#5fd38d"],accent:["#1f6fb2","#56b4e9"]},K=class{dark=!1;refresh(e){for(let t=e;t;t=t.parentElement){let r=/rgba?\((\d+), (\d+), (\d+)(?:, ([\d.]+))?\)/.exec(getComputedStyle(t).backgroundColor);if(!(!r||r[4]==="0")){this.dark=.3*Number(r[1])+.59*Number(r[2])+.11*Number(r[3])<128;return}}this.dark=matchMedia("(prefers-color-scheme: dark)").matches}colour(e){return(Se[e]??Se.ink)[this.dark?1:0]}};function Te(n){let e=n.byteLength>>2;return n.byteOffset%4===0?new Float32Array(n.buffer,n.byteOffset,e):new Float32Array(n.buffer.slice(n.byteOffset,n.byteOffset+4*e))}function Re(n){let e=[1/0,1/0,1/0,-1/0,-1/0,-1/0];for(let t=0;t+2<n.length;t+=3)if(Number.isFinite(n[t]+n[t+1]+n[t+2]))for(let r=0;r<3;r++)e[r]=Math.min(e[r],n[t+r]),e[r+3]=Math.max(e[r+3],n[t+r]);return e[0]>e[3]?[-1,-1,-1,1,1,1]:e}function S(n,e,t){let r=document.createElement(n);return r.className=e,t.append(r),r}function Xe({model:n,el:e}){let t=document.createElement("style");t.textContent=Ee,e.append(t);let r=S("div","hypostyle-points",e),o=S("canvas","hypostyle-view",r),l=S("canvas","hypostyle-scale",r),a=S("div","hypostyle-title",r),s=S("div","hypostyle-legend",r),c=S("div","hypostyle-bar",s),d=S("div","hypostyle-ends",s);o.tabIndex=0,o.setAttribute("role","img");let u=new F(o),i=new $,h=new K,m=0,f=new Float32Array(0),p=new Float32Array(0),b=Re(f),x=0,A=!1,_=()=>{m++,f=new Float32Array(Te(n.get("positions"))),p=new Float32Array(Te(n.get("values"))),b=Re(f),i.orbit=n.get("axes").length>2,!A&&f.length>0&&i.width>1&&(i.fit(b),A=!0),g()},P=()=>{x=0;let w=Math.floor(f.length/3),M=n.get("axes"),[T,q]=[n.get("low"),n.get("high")];h.refresh(e);let _e=G.find(E=>E===n.get("map"))??G[0],Z=ee(_e,h.dark),z=p.length>=w&&w>0;u.palette(Z);let U=E=>({kind:"floats",data:f,lanes:3,lane:E,version:m}),D={kind:"constant",value:1},Q=n.get("size"),Ie={table:{rows:w},x:U(0),y:U(1),z:M.length>2?U(2):{kind:"constant",value:0},colour:z?{kind:"floats",data:p,lanes:1,lane:0,version:m}:D,plain:z?void 0:J[0],shown:D,opacity:D,radius:{kind:"constant",value:Q}};u.begin()&&u.draw([Ie],i,{shape:n.get("spheres")?"spheres":"points",size:Q*devicePixelRatio,perspective:!1,low:T,high:q,mode:"linear",outside:"clamp",version:m,alpha:1}),u.end(),ke(oe(l,i).g,i,h,[M[0]??"x",M[1]??"y",M[2]??"z"],w>0?b:void 0),a.textContent=n.get("title"),o.setAttribute("aria-label",`${w} points: ${n.get("title")}`),s.hidden=!z;let Le=Array.from({length:9},(E,Be)=>Math.min(Be*32,255)*4).map(E=>`rgb(${Z.slice(E,E+3).join(" ")})`);c.style.background=`linear-gradient(90deg, ${Le.join(", ")})`,d.textContent=`${L(T)}   ${n.get("colour")}   ${L(q)}`;for(let E of[a,d])E.style.color=h.colour("ink")},g=()=>{x||=requestAnimationFrame(P)},k=()=>{r.style.height=`${n.get("height")}px`;let w=r.clientWidth,M=r.clientHeight;o.width=Math.round(w*devicePixelRatio),o.height=Math.round(M*devicePixelRatio),i.resize(w,M),_()},v=()=>(i.fit(b),g(),!0);ne(o,()=>({camera:i,left:0,top:0}),{changed:g,hover:()=>{},leave:()=>{},click:()=>{},key:w=>w==="f"&&v()}),o.addEventListener("dblclick",v);let X=[["change:positions change:values change:axes",_],["change:low change:high change:map change:size change:spheres change:title change:colour",g],["change:height",k]];for(let[w,M]of X)for(let T of w.split(" "))n.on(T,M);let Y=new ResizeObserver(k);return Y.observe(r),e.hypostyle={camera:i,canvas:o},k(),()=>{Y.disconnect(),cancelAnimationFrame(x);for(let[w,M]of X)for(let T of w.split(" "))n.off(T,M)}}var Wt={render:Xe};export{Re as boundsOf,Wt as default,Te as floats};
